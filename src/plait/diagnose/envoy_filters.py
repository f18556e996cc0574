"""EnvoyFilters: patches whose place depends on others, and operations that their place does not take."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.networking.envoy_filter import EnvoyFilter
from plait.resources.problems import Problem

_RELATIVE = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "REPLACE", "MERGE", "REMOVE"})
_ROUTES = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_REPLACED = frozenset({"HTTP_FILTER", "NETWORK_FILTER"})


def operations(evidence: Evidence) -> Iterator[Problem]:
    for each in evidence.all(EnvoyFilter):
        for number, patch in enumerate(each.spec.config_patches):
            path = f"spec.configPatches[{number}]"
            operation = patch.patch.operation if patch.patch is not None else "INVALID"
            proxy = patch.match.proxy if patch.match is not None else None
            if operation in _RELATIVE and not each.spec.priority:
                version = proxy is not None and bool(proxy.proxy_version)
                text = f"{operation} works only after what it refers to is there; set priority, or INSERT_FIRST or ADD"
                yield say("IST0155" if version else "IST0151", each, f"{path}.patch.operation", text)
            if operation == "REPLACE" and patch.apply_to not in _REPLACED:
                text = f"REPLACE has no effect on {patch.apply_to}; use MERGE, or REMOVE and ADD"
                yield say("IST0152", each, f"{path}.patch.operation", text)
            if operation in ("ADD", "REMOVE") and patch.apply_to in _ROUTES:
                code = "IST0153" if operation == "ADD" else "IST0154"
                text = f"{operation} has no effect on {patch.apply_to}; patch the VIRTUAL_HOST or write a route"
                yield say(code, each, f"{path}.patch.operation", text)
