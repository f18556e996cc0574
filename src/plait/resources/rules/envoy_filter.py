"""Rules of EnvoyFilters: what is patched, where, and whether the place fits what is patched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.resources.rules import names, targets, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_IN_LISTENERS = frozenset({"LISTENER", "FILTER_CHAIN", "LISTENER_FILTER", "NETWORK_FILTER", "HTTP_FILTER"})
_IN_ROUTES = frozenset({"ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"})
_MANAGERS = ("envoy.filters.network.http_connection_manager", "envoy.http_connection_manager")


def envoy_filter(each: Any) -> Iterator[Finding]:
    spec = each.spec
    if spec.workload_selector is not None and spec.target_refs:
        yield bad("spec", "workloadSelector and targetRefs exclude each other; keep one of them")
    yield from names.workload_labels("spec.workloadSelector", spec.workload_selector)
    yield from targets.references(spec.target_refs)
    for index, found in enumerate(spec.config_patches):
        path = f"spec.configPatches[{index}]"
        yield from _patch(path, found)
        if found.match is not None:
            yield from _match(f"{path}.match", found.match, found.apply_to)


def _patch(path: str, found: Any) -> Iterator[Finding]:
    if found.apply_to == "INVALID":
        yield bad(f"{path}.applyTo", "applyTo is missing; add it, for instance HTTP_FILTER")
    if found.patch is None:
        yield bad(f"{path}.patch", "the patch is missing; add it")
    elif found.patch.operation == "INVALID":
        yield bad(f"{path}.patch.operation", "the operation is missing; add it, for instance MERGE")
    elif found.patch.operation != "REMOVE" and found.patch.value is None:
        yield bad(f"{path}.patch.value", f"{found.patch.operation} needs a value; add it")


def _match(path: str, match: Any, apply_to: str) -> Iterator[Finding]:
    given = {
        "listener": match.listener is not None,
        "routeConfiguration": match.route_configuration is not None,
        "cluster": match.cluster is not None,
        "waypoint": match.waypoint is not None,
    }
    yield from words.exactly_one(path, given, none_is_fine=True)
    if match.proxy is not None and match.proxy.proxy_version:
        yield from words.expression(f"{path}.proxy.proxyVersion", match.proxy.proxy_version)
    place = next((name for name, there in given.items() if there), "")
    waypoint = match.context == "WAYPOINT"
    fitting = "waypoint" if waypoint else _place(apply_to)
    if place and place != fitting:
        if waypoint or place == "waypoint":
            yield bad(f"{path}.{place}", "context WAYPOINT and a match by waypoint belong together; change one of them")
        elif fitting:
            yield bad(f"{path}.{place}", f"{apply_to} is found by {fitting}, not by {place}; change the match")
    if match.listener is not None and (chain := match.listener.filter_chain) is not None:
        yield from _filter(f"{path}.listener.filterChain.filter", chain.filter, apply_to)
    if match.waypoint is not None:
        yield from _filter(f"{path}.waypoint.filter", match.waypoint.filter, apply_to)


def _place(apply_to: str) -> str:
    if apply_to in _IN_LISTENERS:
        return "listener"
    if apply_to in _IN_ROUTES:
        return "routeConfiguration"
    return "cluster" if apply_to == "CLUSTER" else ""


def _filter(path: str, found: Any, apply_to: str) -> Iterator[Finding]:
    if found is None:
        return
    if not found.name:
        yield bad(f"{path}.name", "the filter has no name; give it one")
    if found.sub_filter is None:
        return
    if apply_to != "HTTP_FILTER":
        yield bad(f"{path}.subFilter", f"{apply_to} is no filter inside another; use HTTP_FILTER, or remove subFilter")
    elif found.name not in _MANAGERS:
        yield bad(f"{path}.name", f"only {_MANAGERS[0]} has filters inside; name it, or remove subFilter")
    if not found.sub_filter.name:
        yield bad(f"{path}.subFilter.name", "the filter inside has no name; give it one")
