"""Patches of listeners, their filters, chains and filters of chains, by name, port, chain and filter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plait.envoy.l7.bundle import Documents
from plait.envoy.l7.merging import edited
from plait.envoy.l7.patching.matching import ADDED, Test, ours
from plait.envoy.l7.terminate import INTERNAL
from plait.envoy.pieces import Doc
from plait.model.patches import Patch

_HCM = "envoy.filters.network.http_connection_manager"
_VIRTUAL = ("virtualInbound", "virtualOutbound", INTERNAL)
"""Listeners of all ports: a match's port is about their chains."""
_WAYS_IN = re.compile(r"(virtualInbound|0\.0\.0\.0_\d+)-(?:mtls|mtls-http|mtls-tcp|plain|http|tcp|tls)")


def patched(found: Documents, patch: Patch, value: Doc, role: str) -> bool:
    """Whether there was anything to patch."""
    if patch.apply_to == "LISTENER" and patch.operation in ADDED:
        found.listeners.append(value)
        return True
    wanted = patch.match.get("listener") or _served_chains(patch.match.get("waypoint"))
    done = False
    kept: list[Doc] = []
    for document in found.listeners:
        direction = "INBOUND" if document["name"] == INTERNAL else str(document.get("traffic_direction", ""))
        if not ours(patch, role, direction) or not _listener(wanted, document, patch.apply_to):
            kept.append(document)
            continue
        changed, hit = _inside(patch, value, wanted, document)
        kept += changed
        done = done or hit
    found.listeners = kept
    return done


def _served_chains(wanted: Mapping[str, Any] | None) -> Doc:
    """A match of a waypoint as one of its inner listener's chains, which are one for each served port."""
    if not wanted:
        return {}
    chain = {key: wanted[key] for key in ("filter", "portNumber") if wanted.get(key)}
    return {"name": INTERNAL, "filterChain": chain}


def _listener(wanted: Mapping[str, Any], document: Doc, apply_to: str) -> bool:
    name = str(document["name"])
    if wanted.get("name", name) != name:
        return False
    port = wanted.get("portNumber")
    if not port or (name in _VIRTUAL and apply_to != "LISTENER"):
        return True
    return bool(int(port) == document.get("address", {}).get("socket_address", {}).get("port_value"))


def _inside(patch: Patch, value: Doc, wanted: Mapping[str, Any], document: Doc) -> tuple[list[Doc], bool]:
    if patch.apply_to == "LISTENER":
        return edited([document], patch.operation, value, lambda _: True)
    if patch.apply_to == "LISTENER_FILTER":
        name = wanted.get("listenerFilter")
        chosen = (lambda each: each["name"] == name) if name else None
        items, hit = edited(document.get("listener_filters", []), patch.operation, value, chosen)
        return [{**document, "listener_filters": items}], hit
    chain_test = _chain(wanted, document["name"] in _VIRTUAL)
    if patch.apply_to == "FILTER_CHAIN":
        items, hit = edited(document.get("filter_chains", []), patch.operation, value, chain_test)
        return [{**document, "filter_chains": items}], hit
    done = False
    changed = dict(document)
    fresh: list[Doc] = []
    for each in document.get("filter_chains", []):
        made, hit = _in_chain(patch, value, wanted, each) if chain_test(each) else (each, False)
        fresh.append(made)
        done = done or hit
    changed["filter_chains"] = fresh
    default = document.get("default_filter_chain")
    if default is not None and chain_test(default):
        changed["default_filter_chain"], hit = _in_chain(patch, value, wanted, default)
        done = done or hit
    return [changed], done


def _chain(wanted: Mapping[str, Any], virtual: bool) -> Test:
    said = wanted.get("filterChain") or {}
    served = said.get("portNumber")
    port = wanted.get("portNumber") if virtual else None

    def chosen(chain: Doc) -> bool:
        match = chain.get("filter_chain_match", {})
        protocols = [each.strip() for each in str(said.get("applicationProtocols", "")).split(",") if each.strip()]
        return (
            (not said.get("name") or said["name"] in (chain.get("name"), _common_name(chain)))
            and (not said.get("sni") or said["sni"] in match.get("server_names", []))
            and said.get("transportProtocol", match.get("transport_protocol")) == match.get("transport_protocol")
            and (not protocols or set(protocols) <= set(match.get("application_protocols", [])))
            and (not port or _of_port(chain, int(port)))
            and (not served or str(chain.get("name", "")).startswith(f"inbound-vip|{served}|"))
            and (not said.get("destinationPort") or said["destinationPort"] == match.get("destination_port"))
        )

    return chosen


def _common_name(chain: Doc) -> str:
    """Chains on the way into a sidecar that differ by how the client speaks have one name in Istio; those of ports that
    nobody lists have two."""
    found = _WAYS_IN.fullmatch(str(chain.get("name", "")))
    if found is None:
        return ""
    if found[1] == "virtualInbound" and chain["filters"][-1]["name"] == _HCM:
        return "virtualInbound-catchall-http"
    return found[1]


def _of_port(chain: Doc, port: int) -> bool:
    """By what the chain asks; in a waypoint a tree chooses, and the name says it."""
    match = chain.get("filter_chain_match", {})
    return match.get("destination_port") == port or f"|{port}|" in str(chain.get("name", ""))


def _in_chain(patch: Patch, value: Doc, wanted: Mapping[str, Any], chain: Doc) -> tuple[Doc, bool]:
    said = (wanted.get("filterChain") or {}).get("filter") or {}
    name = said.get("name")
    if patch.apply_to == "NETWORK_FILTER":
        chosen = (lambda each: each["name"] == name) if name else None
        items, hit = edited(chain.get("filters", []), patch.operation, value, chosen)
        return {**chain, "filters": items}, hit
    sub = (said.get("subFilter") or {}).get("name")
    filters: list[Doc] = []
    done = False
    for each in chain.get("filters", []):
        if each["name"] != _HCM or (name and name != _HCM):
            filters.append(each)
            continue
        config = each["typed_config"]
        have = config.get("http_filters", [])
        items, hit = _http(have, patch.operation, value, sub)
        filters.append({**each, "typed_config": {**config, "http_filters": items}})
        done = done or hit
    return {**chain, "filters": filters}, done


def _http(have: list[Doc], operation: str, value: Doc, sub: str | None) -> tuple[list[Doc], bool]:
    """Nothing may stand behind the router."""
    chosen = (lambda each: each["name"] == sub) if sub else None
    if operation == "ADD" or (operation == "INSERT_AFTER" and not sub):
        return [*have[:-1], value, *have[-1:]], True
    return edited(have, operation, value, chosen)
