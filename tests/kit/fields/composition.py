"""Everything proxies were told while one kind's fields were tried, as one configuration that Envoy can be asked about.

Of documents that are told again and again one stands in it; each gets a name and a port of its own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kit import l7
from kit.pki import Authority

Document = dict[str, Any]
Told = Mapping[str, Sequence[Document]]
_FIRST_PORT = 10_000
_WASM = tuple(f"envoy.extensions.filters.{kind}.wasm.v3.Wasm" for kind in ("http", "network"))


class Composition:
    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._seen: set[str] = set()
        self._clusters: set[str] = set()
        self._ports = itertools.count(_FIRST_PORT)
        self._found: dict[str, list[Document]] = {"clusters": [], "endpoints": [], "listeners": [], "routes": []}

    def add(self, told: Told, before: Told) -> None:
        """What one proxy is told and was not `before`: clusters and listeners, each with what it gets by name."""
        if not told.get("listeners"):
            return
        fresh = {part: [each for each in found if each not in before.get(part, ())] for part, found in told.items()}
        moved = {each["name"] for each in fresh["routes"]}
        routes = {each["name"]: each for each in told["routes"]}
        for each in told["listeners"]:
            names = _routes_of(each)
            if not moved.isdisjoint(names) or each in fresh["listeners"]:
                self._keep("listeners", each, "routes", [routes[name] for name in names])
        moved = {each["cluster_name"] for each in fresh["endpoints"]}
        ends = {each["cluster_name"]: each for each in told["endpoints"]}
        for each in told["clusters"]:
            # Each stands there once under its own name: a tracer wants its collector's.
            if each["name"] in moved or each["name"] not in self._clusters or each in fresh["clusters"]:
                held = ends.get(each["name"])
                self._keep("clusters", each, "endpoints", [held] if held is not None else [])

    def whole(self) -> Document | None:
        """A bootstrap with all of it. None: there is nothing."""
        if not self._seen:
            return None
        made = l7.composed(self._found, authority=self._authority)
        static = made["static_resources"]
        for context in l7.find(static, "validation_context"):
            context.pop("crl", None)  # a file that is not there
        for chain in (*l7.find(static, "http_filters"), *l7.find(static, "filters")):
            if isinstance(chain, list):
                chain[:] = [each for each in chain if not _is_wasm(each)]  # a module that is not there
        return made

    def _keep(self, kind: str, document: Document, beside: str, named: Sequence[Document]) -> None:
        text = json.dumps((document, named), sort_keys=True)
        if text in self._seen:
            return
        self._seen.add(text)
        document, named = json.loads(text)
        own = f"#{len(self._seen)}"
        if kind == "clusters" and document["name"] not in self._clusters:
            own = ""
            self._clusters.add(document["name"])
        document["name"] += own
        for each in named:
            each["cluster_name" if beside == "endpoints" else "name"] += own
        for holder in l7.managers(document):
            holder["rds"]["route_config_name"] += own
        for address in l7.find(document.get("address"), "socket_address"):
            address["port_value"] = next(self._ports)
        for address in l7.find(document.get("address"), "pipe"):
            address["path"] += own
        document.pop("additional_addresses", None)
        self._found[kind].append(document)
        self._found[beside] += named


def _routes_of(listener: Document) -> list[str]:
    """Names of the route configurations it asks for."""
    chains = (*listener.get("filter_chains", ()), listener.get("default_filter_chain", {}))
    configured = (each.get("typed_config", {}) for chain in chains for each in chain.get("filters", ()))
    return list(dict.fromkeys(each["rds"]["route_config_name"] for each in configured if "rds" in each))


def _is_wasm(each: Any) -> bool:
    return isinstance(each, dict) and each.get("typed_config", {}).get("@type", "").endswith(_WASM)
