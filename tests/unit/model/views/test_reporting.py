"""Telemetry of three levels: fields of tracing are inherited one by one, providers of logs level by level."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from plait.model.attachment import Attachment
from plait.model.http_telemetry import Logging, MetricChange, Metrics, Sink, SpanTag, TelemetryPolicy, Tracing
from plait.model.l7 import L7, L7Settings
from plait.model.views.reporting import merged

SINKS = {name: Sink(name, "file") for name in ("one", "two")}
BOTH = ("client", "server")


def policy(level: str, **spec: Any) -> TelemetryPolicy:
    where = {
        "mesh": Attachment("istio-system", everywhere=True),
        "namespace": Attachment("shop"),
        "workload": Attachment("shop", selector=(("app", "web"),)),
    }[level]
    return TelemetryPolicy(level, where.namespace, where, **spec)


def l7(**settings: Any) -> L7:
    return L7(settings=L7Settings(**settings), sinks=SINKS)


def test_a_namespace_that_changes_the_rate_keeps_the_providers_and_tags_of_the_mesh() -> None:
    tag = SpanTag("a", "literal", "b")
    above = policy("mesh", tracing=(Tracing(sinks=("one",), sampling=1.0, tags=(tag,), propagate=False),))
    below = policy("namespace", tracing=(Tracing(sampling=0.0),))
    found = merged(l7(), (below, above)).tracing
    assert found == tuple(Tracing(side, ("one",), 0.0, tags=(tag,), propagate=False) for side in BOTH)


def test_what_is_said_of_one_side_leaves_the_other() -> None:
    above = policy("mesh", tracing=(Tracing(sinks=("one",)),))
    below = policy("workload", tracing=(Tracing("client", disabled=True),))
    client, server = merged(l7(), (above, below)).tracing
    assert (client.disabled, server.disabled) == (True, None)


def test_a_log_entry_without_providers_is_about_those_above() -> None:
    above = policy("mesh", logging=(Logging(sinks=("one",)),))
    below = policy("namespace", logging=(Logging(expression="response.code >= 500"),))
    found = merged(l7(), (above, below)).logging
    assert found == tuple(Logging(side, ("one",), None, "response.code >= 500") for side in BOTH)


def test_a_level_that_names_providers_replaces_them() -> None:
    above = policy("mesh", logging=(Logging(sinks=("one",)),))
    below = policy("namespace", logging=(Logging(sinks=("two",)),))
    assert [each.sinks for each in merged(l7(), (above, below)).logging] == [("two",), ("two",)]


def test_logs_are_switched_off_for_a_side_whoever_named_the_providers() -> None:
    off = policy("namespace", logging=(Logging("client", disabled=True),))
    for settings in ({"logging_sinks": ("one",)}, {"access_log_file": "/dev/stdout"}):
        (client,) = merged(l7(**settings), (off,)).logging[:1]
        assert client == Logging("client", disabled=True)
    above = policy("mesh", logging=(Logging(sinks=("one",)),))
    assert merged(l7(), (above, off)).logging == (Logging("client", disabled=True), Logging("server", ("one",)))


def test_of_one_level_the_oldest_object_counts() -> None:
    young, old = (
        replace(policy("namespace", tracing=(Tracing(sampling=rate),)), created=f"{year}-01-01T00:00:00Z")
        for rate, year in ((1.0, 2022), (2.0, 2021))
    )
    assert {each.sampling for each in merged(l7(), (young, old)).tracing} == {2.0}


def test_metrics_are_changed_for_the_providers_that_count_in_the_end() -> None:
    drop, keep = MetricChange("REQUEST_COUNT", disabled=True), MetricChange("REQUEST_SIZE", disabled=True)
    above = policy("mesh", metrics=(Metrics(changes=(drop,)), Metrics(("one", "two"), (keep,))))
    below = policy("namespace", metrics=(Metrics(("two",)), Metrics(changes=(drop,))))
    found = merged(l7(metrics_sinks=("one",)), (above, below))
    assert found.metrics == (Metrics(("two",), (keep,)), Metrics(("two",)), Metrics(("two",), (drop,)))
    assert [sink.name for sink in found.sinks] == ["two"]
    standing = merged(l7(metrics_sinks=("one",)), (policy("mesh", metrics=(Metrics(changes=(drop,)),)),))
    assert (standing.metrics, standing.sinks) == ((Metrics(("one",), (drop,)),), (SINKS["one"],))


def test_nothing_said_leaves_the_word_to_the_mesh_configuration() -> None:
    assert merged(l7(logging_sinks=("one",)), ()).logging == ()
