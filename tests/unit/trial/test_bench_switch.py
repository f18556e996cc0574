"""What the switching bench makes of what it saw: losses by step, gaps apart from losses."""

from __future__ import annotations

from collections import Counter

import yaml

from plait.resources import documents
from plait.trial import bench_switch, load
from plait.trial.bench_switch import STREAMS, Judged, Report, during
from plait.trial.held import Held

STEPS = [(1.0, "sidecar to L4", 2.0), (4.0, "L4 to waypoint", 0.5)]


def report(*lost: tuple[float, str], stream: bench_switch.Stream = "plain", broken: int = 0) -> Report:
    found = Report(steps=list(STEPS), cycles=1)
    found.streams = [
        Judged(each, "ambient", 100, tuple(load.Lost(*one) for one in lost) if each == stream else ())
        for each in STREAMS
    ]
    found.held = [Held(opened=25, broken=Counter({"idle: EOFError": broken} if broken else {}))]
    return found


def row(found: Report, what: str) -> dict[str, object]:
    (one,) = [each for each in found.rows() if str(each["what"]).startswith(what)]
    return one


def test_a_loss_is_told_by_the_step_it_came_in() -> None:
    assert during(STEPS, 0.5) == "before the first step"
    assert during(STEPS, 2.9) == "during sidecar to L4"
    assert during(STEPS, 3.5) == "after sidecar to L4"
    assert during(STEPS, 9.0) == "after L4 to waypoint"
    found = report((2.0, "status 503"), (2.1, "status 503"), (9.0, "TimeoutError"))
    assert row(found, "requests to plain/")["wrong"] == 3
    assert row(found, "requests to plain/")["note"] == (
        "2 status 503 during sidecar to L4, 1 TimeoutError after L4 to waypoint"
    )
    assert row(found, "requests to guarded/:")["wrong"] == 0 and not found.held_true


def test_a_denied_request_that_was_served_is_a_gap_and_one_that_was_lost_is_none() -> None:
    assert row(report((2.0, "status 200"), stream="denied"), "policy gaps")["wrong"] == 1
    assert row(report((2.0, "status 503"), (2.0, "ConnectionResetError"), stream="denied"), "policy gaps")["wrong"] == 0
    assert row(report((2.0, "status 200"), stream="plain"), "policy gaps")["wrong"] == 0


def test_a_broken_connection_is_a_failure() -> None:
    assert report().held_true
    assert not report(broken=1).held_true
    assert row(report(broken=1), "long connections") == {
        "what": "long connections",
        "of": 25,
        "wrong": 1,
        "note": "1 idle: EOFError",
    }


def test_switches_are_timed_by_kind() -> None:
    assert row(report(), "switch: L4 to waypoint")["note"] == "0.50 s (0.50–0.50)"


def test_the_world_begins_with_sidecars_and_its_policy_names_the_guarded_service_only() -> None:
    read, problems = documents.read(yaml.safe_dump_all(bench_switch.world()), "world")
    assert not problems
    found = {(each.document["kind"], each.document["metadata"]["name"]): each.document for each in read}
    labels = found["Deployment", "echo"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "echo", "sidecar.istio.io/inject": "true"}
    targets = found["AuthorizationPolicy", "denied"]["spec"]["targetRefs"]
    assert [each["name"] for each in targets] == ["guarded"]
    ports = {name: found["Service", name]["spec"]["ports"][0]["port"] for name in ("plain", "guarded")}
    assert len(set(ports.values())) == 2, "the policy's guard must not bind the port of the plain service"
