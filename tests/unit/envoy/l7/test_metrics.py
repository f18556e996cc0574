"""Which metrics a proxy keeps, and with which tags, after what Telemetry changes."""

from __future__ import annotations

from typing import Any

from kit import l7
from plait.envoy.l7 import metrics, points
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.model.http_telemetry import MetricChange, Metrics, Sink, TagChange
from plait.model.views.enforced import Telemetry

PROXY = l7.proxy("sidecar", "client")
SINK = Sink("prometheus", "prometheus")


def kept(*changes: MetricChange, sinks: tuple[Sink, ...] = (SINK,)) -> dict[str, dict[str, str]]:
    ctx = Context(PROXY, l7.SETTINGS, DEFAULT, {})
    wanted = Telemetry(metrics=(Metrics(("prometheus",), changes),), sinks=sinks)
    found: dict[str, dict[str, str]] = {}
    for logger in metrics.metrics(ctx, wanted, points.outgoing(PROXY)):
        config: dict[str, Any] = logger["typed_config"]
        for each in (*config.get("counters", ()), *config.get("histograms", ())):
            tags = {tag["name"]: tag["value_format"] for tag in each["stat"]["tags"]}
            found[each["stat"]["name"]] = tags
    return found


def test_a_later_change_wins_be_it_about_one_or_all() -> None:
    one, every = MetricChange("REQUEST_COUNT", disabled=False), MetricChange(disabled=True)
    assert not kept(one, every)
    assert set(kept(every, one)) == {"istio_requests_total"}
    tagged = MetricChange("REQUEST_COUNT", tags=(TagChange("x", "'one'"),))
    again = MetricChange(tags=(TagChange("x", "'all'"),))
    assert kept(tagged, again)["istio_requests_total"]["x"] == "all"
    assert kept(again, tagged)["istio_requests_total"]["x"] == "one"


def test_a_change_about_the_other_side_is_not_ours() -> None:
    assert "istio_requests_total" in kept(MetricChange("REQUEST_COUNT", "server", disabled=True))
    assert "istio_requests_total" not in kept(MetricChange("REQUEST_COUNT", "client", disabled=True))


def test_nothing_is_counted_where_the_providers_that_count_are_none_of_prometheus() -> None:
    assert not kept(sinks=(Sink("other", "otel_log"),))
