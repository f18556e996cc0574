"""Rules of DestinationRules: host, subsets, who sees them. Those of their policies are in `traffic_policy`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import names, traffic_policy, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding


def destination_rule(each: Any) -> Iterator[Finding]:
    spec = each.spec
    if not spec.host:
        yield bad("spec.host", "the host is empty; name the service")
    else:
        yield from words.host("spec.host", spec.host)
    yield from traffic_policy.whole("spec.trafficPolicy", spec.traffic_policy)
    yield from words.unique("spec.subsets", [subset.name for subset in spec.subsets], "subset")
    for index, subset in enumerate(spec.subsets):
        path = f"spec.subsets[{index}]"
        yield from names.label(f"{path}.name", subset.name, "subset name")
        yield from names.labels(f"{path}.labels", subset.labels)
        yield from traffic_policy.whole(f"{path}.trafficPolicy", subset.traffic_policy)
    yield from names.match_labels("spec.workloadSelector", spec.workload_selector)
    chosen = spec.workload_selector is not None and bool(spec.workload_selector.match_labels)
    yield from names.export_to(spec.export_to, each.namespace, alone=chosen)
