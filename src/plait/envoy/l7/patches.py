"""EnvoyFilter: changes laid over finished documents, in order. One that does not fit is a refusal, never a crash.

Matching is Istio's: by context, listener (name, port), chain (name, SNI, protocols), filter and sub-filter, route
configuration (name, port, gateway, virtual host, route), cluster (name, service, port, subset); in a waypoint also by
the served port, filter and route (`waypoint`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.base.bundle import TYPE_PREFIX
from plait.envoy import names
from plait.envoy.l7.bundle import URLS, Documents
from plait.envoy.l7.context import Context
from plait.envoy.l7.merging import edited, merged
from plait.envoy.l7.spelling import proper
from plait.envoy.l7.terminate import INTERNAL
from plait.envoy.pieces import Doc
from plait.envoy.wire import WireError, encode
from plait.model.patches import Patch, PatchSet

TYPES = {
    "LISTENER": names.LISTENER,
    "FILTER_CHAIN": TYPE_PREFIX + "envoy.config.listener.v3.FilterChain",
    "NETWORK_FILTER": TYPE_PREFIX + "envoy.config.listener.v3.Filter",
    "LISTENER_FILTER": TYPE_PREFIX + "envoy.config.listener.v3.ListenerFilter",
    "HTTP_FILTER": TYPE_PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "ROUTE_CONFIGURATION": names.ROUTE,
    "VIRTUAL_HOST": TYPE_PREFIX + "envoy.config.route.v3.VirtualHost",
    "HTTP_ROUTE": TYPE_PREFIX + "envoy.config.route.v3.Route",
    "CLUSTER": names.CLUSTER,
    "EXTENSION_CONFIG": names.EXTENSION,
    "BOOTSTRAP": names.BOOTSTRAP,
}
_ADDED = ("ADD", "INSERT_FIRST")
_HCM = "envoy.filters.network.http_connection_manager"
_VIRTUAL = ("virtualInbound", "virtualOutbound", INTERNAL)
"""Listeners of all ports: a match's port is about their chains."""
Test = Callable[[Doc], bool]


@dataclass(frozen=True, slots=True)
class Known:
    """What matches ask and the names of documents do not say."""

    ports: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Of a gateway: where it listens -> the ports of servers that lead there, where those are others."""
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Hosts of services by the name of the cluster that leads into the pod for them."""


def apply(ctx: Context, sets: Iterable[PatchSet], found: Documents, role: str, known: Known = Known()) -> None:
    """All patches of all sets but those for the bootstrap (`bootstrap_patches`)."""
    for each in sets:
        source = f"EnvoyFilter/{each.key}"
        for patch in each.patches:
            value = usable(ctx, patch, source)
            if value is None or patch.apply_to == "BOOTSTRAP" or not _ours(patch, role, ""):
                continue
            before = {kind: list(getattr(found, kind)) for kind in URLS}
            try:
                done = _one(found, patch, value, role, known)
                _check(found, before)
            except (KeyError, TypeError, AttributeError, ValueError, WireError) as error:
                for kind, documents in before.items():
                    setattr(found, kind, documents)
                ctx.refuse(source, patch.path, f"the match or value cannot be applied, nothing is changed: {error}")
                continue
            if not done:
                ctx.refuse(
                    source, patch.path, f"nothing here for {patch.operation} of {patch.apply_to}; check the match"
                )


def _check(found: Documents, before: dict[str, list[Doc]]) -> None:
    """What a patch has made must be Envoy's API, or the whole document would be lost to it."""
    for kind, url in URLS.items():
        known = {id(document) for document in before[kind]}
        for document in getattr(found, kind):
            if id(document) not in known:
                encode(url, document)


def usable(ctx: Context, patch: Patch, source: str) -> Doc | None:
    """The value with proper field names, if Envoy's API has them."""
    kind = TYPES.get(patch.apply_to)
    if kind is None:
        ctx.refuse(source, f"{patch.path}.applyTo", f"{patch.apply_to} is none of {', '.join(TYPES)}")
        return None
    try:
        if patch.proxy_version and not re.search(patch.proxy_version, ctx.options.version):
            return None
    except re.error:
        ctx.refuse(
            source, f"{patch.path}.match.proxy.proxyVersion", f"{patch.proxy_version!r} is no regular expression"
        )
        return None
    tags = dict(patch.proxy_metadata)
    if any(ctx.proxy.tags.get(name) != value for name, value in tags.items()):
        return None
    value = proper(kind, patch.value)
    try:
        encode(kind, value)
    except WireError as error:
        ctx.refuse(source, f"{patch.path}.value", f"not Envoy's API: {error}")
        return None
    return dict(value)


def _ours(patch: Patch, role: str, direction: str) -> bool:
    """`direction` of a listener or cluster narrows a sidecar's contexts; "" does not."""
    if "waypoint" in patch.match and role != "waypoint":
        return False
    match patch.context:
        case "any":
            return True
        case "gateway" | "waypoint":
            return patch.context == role
        case "sidecar_inbound":
            return role == "sidecar" and direction in ("", "INBOUND")
        case _:
            return role == "sidecar" and direction in ("", "OUTBOUND")


def _one(found: Documents, patch: Patch, value: Doc, role: str, known: Known) -> bool:
    if patch.apply_to == "CLUSTER":
        chosen = _cluster(patch, role, known)
        if patch.operation == "MERGE" and "transport_socket" in value:
            hits = [each for each in found.clusters if chosen(each)]
            found.clusters = [_with_socket(each, value) if each in hits else each for each in found.clusters]
            return bool(hits)
        found.clusters, done = edited(found.clusters, patch.operation, value, chosen)
        return done
    if patch.apply_to == "EXTENSION_CONFIG":
        found.extensions, done = edited(
            found.extensions, patch.operation, value, lambda e: e["name"] == value.get("name")
        )
        return done
    if patch.apply_to in ("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"):
        return _routes(found, patch, value, role, known)
    return _listeners(found, patch, value, role)


# Clusters ---


def _cluster(patch: Patch, role: str, known: Known) -> Test:
    wanted = patch.match.get("cluster") or {}

    def chosen(document: Doc) -> bool:
        name = str(document["name"])
        parts = name.split("|")
        kind, port, subset, host = parts if len(parts) == 4 else ("", "", "", "")
        direction = "INBOUND" if kind.startswith("inbound") else "OUTBOUND"
        return (
            _ours(patch, role, direction)
            and wanted.get("name", name) == name
            and (not wanted.get("service") or wanted["service"] in known.hosts.get(name, (host,)))
            and wanted.get("subset", subset) == subset
            and (not wanted.get("portNumber") or str(wanted["portNumber"]) == port)
        )

    return chosen


def _with_socket(cluster: Doc, value: Doc) -> Doc:
    """Where sockets are chosen by endpoint, the patch is about the first of its name; without one its socket is left
    out, for a socket beside them would never be used."""
    ways = cluster.get("transport_socket_matches")
    if not ways:
        return merged(cluster, value)
    socket = value["transport_socket"]
    at = next((n for n, way in enumerate(ways) if way["transport_socket"]["name"] == socket.get("name")), None)
    made = merged(cluster, {key: each for key, each in value.items() if key != "transport_socket"})
    if at is not None:
        way = {**ways[at], "transport_socket": merged(ways[at]["transport_socket"], socket)}
        made["transport_socket_matches"] = [*ways[:at], way, *ways[at + 1 :]]
    return made


# Routes ---


def _routes(found: Documents, patch: Patch, value: Doc, role: str, known: Known) -> bool:
    wanted = patch.match.get("routeConfiguration") or _served_routes(patch.match.get("waypoint"))
    if patch.apply_to == "ROUTE_CONFIGURATION" and patch.operation in _ADDED:
        found.routes.append(value)
        return True
    done = False
    for number, document in enumerate(found.routes):
        inbound = str(document["name"]).startswith("inbound|")
        if not _ours(patch, role, "INBOUND" if inbound else "OUTBOUND") or not _configuration(wanted, document, known):
            continue
        if patch.apply_to == "ROUTE_CONFIGURATION":
            changed, hit = edited([document], patch.operation, value, lambda _: True)
            found.routes[number : number + 1] = changed
            done = done or hit
            if patch.operation == "REMOVE":
                return True
            continue
        host = wanted.get("vhost") or {}
        if patch.apply_to == "VIRTUAL_HOST":
            hosts, hit = edited(document["virtual_hosts"], patch.operation, value, _virtual_host(host))
            found.routes[number] = {**document, "virtual_hosts": hosts}
            done = done or hit
            continue
        hosts = []
        for each in document["virtual_hosts"]:
            if not _virtual_host(host)(each):
                hosts.append(each)
                continue
            route = host.get("route")
            chosen = _route(route) if route or patch.operation in ("MERGE", "REMOVE", "REPLACE") else None
            if patch.operation == "INSERT_FIRST" and chosen is not None and not any(map(chosen, each["routes"])):
                hosts.append(each)
                continue
            changed, hit = edited(each["routes"], patch.operation, value, chosen)
            hosts.append({**each, "routes": changed})
            done = done or hit
        found.routes[number] = {**document, "virtual_hosts": hosts}
    return done


def _served_routes(wanted: Mapping[str, Any] | None) -> Doc:
    """A match of a waypoint as one of route configurations."""
    said = wanted or {}
    route = {"vhost": {"route": said["route"]}} if said.get("route") else {}
    return {**({"portNumber": said["portNumber"]} if said.get("portNumber") else {}), **route}


def _configuration(wanted: Mapping[str, Any], document: Doc, known: Known) -> bool:
    name = str(document["name"])
    if wanted.get("name", name) != name:
        return False
    port = wanted.get("portNumber")
    if port and not _on_port(int(port), name, known):
        return False
    if wanted.get("portName", _port_name(name)) != _port_name(name):
        return False
    gateway = str(wanted.get("gateway", ""))
    if gateway:
        namespace, _, own = gateway.rpartition("/")
        return name.endswith(f".{own}.{namespace}" if namespace else f".{own}")
    return True


def _on_port(port: int, configuration: str, known: Known) -> bool:
    numbers = [int(part) for part in re.split(r"[|._]", configuration) if part.isdigit()]
    return any(port in known.ports.get(number, (number,)) for number in numbers)


def _port_name(configuration: str) -> str:
    """Only those of HTTPS servers of gateways say it: https.443.NAME.gateway.namespace."""
    parts = configuration.split(".")
    return parts[2] if parts[0] == "https" and len(parts) == 5 else ""


def _virtual_host(wanted: Mapping[str, Any]) -> Test:
    def chosen(document: Doc) -> bool:
        domain = wanted.get("domainName")
        return wanted.get("name", document["name"]) == document["name"] and (
            not domain or domain in document["domains"]
        )

    return chosen


def _route(wanted: Mapping[str, Any] | None) -> Test:
    said = wanted or {}

    def chosen(document: Doc) -> bool:
        action = str(said.get("action", "ANY"))
        field = {"ROUTE": "route", "REDIRECT": "redirect", "DIRECT_RESPONSE": "direct_response"}.get(action)
        return said.get("name", document.get("name")) == document.get("name") and (field is None or field in document)

    return chosen


# Listeners ---


def _listeners(found: Documents, patch: Patch, value: Doc, role: str) -> bool:
    if patch.apply_to == "LISTENER" and patch.operation in _ADDED:
        found.listeners.append(value)
        return True
    wanted = patch.match.get("listener") or _served_chains(patch.match.get("waypoint"))
    done = False
    kept: list[Doc] = []
    for document in found.listeners:
        direction = "INBOUND" if document["name"] == INTERNAL else str(document.get("traffic_direction", ""))
        if not _ours(patch, role, direction) or not _listener(wanted, document, patch.apply_to):
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
            said.get("name", chain.get("name")) == chain.get("name")
            and (not said.get("sni") or said["sni"] in match.get("server_names", []))
            and said.get("transportProtocol", match.get("transport_protocol")) == match.get("transport_protocol")
            and (not protocols or set(protocols) <= set(match.get("application_protocols", [])))
            and (not port or _of_port(chain, int(port)))
            and (not served or str(chain.get("name", "")).startswith(f"inbound-vip|{served}|"))
            and (not said.get("destinationPort") or said["destinationPort"] == match.get("destination_port"))
        )

    return chosen


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


# Bootstrap ---


def bootstrap_patches(ctx: Context, sets: Iterable[PatchSet]) -> list[Doc]:
    """What is merged into the bootstrap, in order: only MERGE is meant for it."""
    found: list[Doc] = []
    for each in sets:
        for patch in each.patches:
            if patch.apply_to != "BOOTSTRAP" or not _ours(patch, ctx.proxy.role, ""):
                continue
            source = f"EnvoyFilter/{each.key}"
            if patch.operation != "MERGE":
                ctx.refuse(source, f"{patch.path}.operation", "a bootstrap can only be merged")
            elif (value := usable(ctx, patch, source)) is not None:
                found.append(value)
    return found
