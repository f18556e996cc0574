"""EnvoyFilters: patches whose place depends on others, and operations that their place does not take."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose import patch_values
from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.networking.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter
from plait.resources.problems import Problem

_PLACED = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "REPLACE", "REMOVE"})
_ROUTES = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_REPLACED = frozenset({"HTTP_FILTER", "NETWORK_FILTER"})


def operations(evidence: Evidence) -> Iterator[Problem]:
    versioned: set[str] = set()
    for each in evidence.all(EnvoyFilter):
        for number, found in enumerate(each.spec.config_patches):
            path = f"spec.configPatches[{number}].patch.operation"
            operation = found.patch.operation if found.patch is not None else "INVALID"
            name = _named(found)
            if operation == "REPLACE" and found.apply_to not in _REPLACED:
                text = f"REPLACE has no effect on {found.apply_to}; use MERGE, or REMOVE and ADD"
                yield say("IST0152", each, path, text)
            elif operation in ("ADD", "REMOVE") and found.apply_to in _ROUTES:
                code = "IST0153" if operation == "ADD" else "IST0154"
                text = f"{operation} has no effect on {found.apply_to}; patch the VIRTUAL_HOST or write a route"
                yield say(code, each, path, text)
            elif operation in _PLACED and not each.spec.priority:
                text = f"{operation} works only after what it refers to is there; set priority, or INSERT_FIRST or ADD"
                if name in versioned:
                    text = f"{text} (another patch of {name or 'this kind'} is for proxies of one version only)"
                yield say("IST0155" if name in versioned else "IST0151", each, path, text)
            if found.match is not None and found.match.proxy is not None and found.match.proxy.proxy_version:
                versioned.add(name)


def values(evidence: Evidence) -> Iterator[Problem]:
    """Patches that Envoy could not read at all."""
    for each in evidence.all(EnvoyFilter):
        yield from patch_values.of_filter(each)


def _named(found: EnvoyConfigObjectPatch) -> str:
    """The filter (or cluster, …) that a patch is about: by its value, else by where it goes."""
    value = found.patch.value if found.patch is not None else None
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return str(value["name"])
    listener = found.match.listener if found.match is not None else None
    chain = listener.filter_chain if listener is not None else None
    return chain.filter.name if value and chain is not None and chain.filter is not None else ""
