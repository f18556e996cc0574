"""What the bench says of what it saw: lost and judged differently are two things, each told by its step."""

from __future__ import annotations

from plait.resources import documents
from plait.trial import load
from plait.trial.bench_migrate import STREAMS, Report, world


def report(*lost: tuple[float, str]) -> Report:
    found = Report(steps=[(2.0, "attach"), (5.0, "restart")], migrations=2)
    for service, path, _ in STREAMS:
        result = load.Result(sent=100)
        for at, reason in lost if service == "till" else ():
            result.lose(reason, at)
        found.results.append((service, path, "sidecar", result))
    return found


def row(found: Report, what: str) -> dict[str, object]:
    (one,) = [each for each in found.rows() if each["what"] == what]
    return one


def test_no_answer_and_a_server_error_are_lost_any_other_status_is_a_differing_verdict() -> None:
    found = report((1.0, "status 503"), (1.5, "ConnectionResetError"), (3.0, "status 403"), (9.0, "status 200"))
    assert (row(found, "requests lost")["of"], row(found, "requests lost")["wrong"]) == (400, 2)
    assert row(found, "requests judged differently")["wrong"] == 2
    note = str(row(found, "requests judged differently")["note"])
    assert "1 status 403: sidecar -> till/, before the end of restart" in note
    assert "status 200: sidecar -> till/, before the end of the load" in note
    assert not found.held and report().held


def test_its_world_can_be_read() -> None:
    import yaml

    assert documents.read(yaml.safe_dump_all(world()), "world")[1] == []


def test_a_migration_that_got_stuck_is_told_beside_what_was_seen_until_then() -> None:
    found = report((1.0, "status 503"))
    found.stopped = "till: 2 pods are made anew: not after 600 s"
    assert row(found, "migrations")["note"] == found.stopped and not found.held
    assert row(found, "requests lost")["wrong"] == 1
