"""Patches of route configurations, virtual hosts and routes, by name, port, gateway, host and action."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from plait.envoy import names
from plait.envoy.l7.bundle import Documents
from plait.envoy.l7.merging import edited
from plait.envoy.l7.patching.matching import ADDED, Known, Test, ours
from plait.envoy.pieces import Doc
from plait.model.patches import Patch


def patched(found: Documents, patch: Patch, value: Doc, role: str, known: Known) -> bool:
    """Whether there was anything to patch."""
    wanted = patch.match.get("routeConfiguration") or _served_routes(patch.match.get("waypoint"))
    if patch.apply_to == "ROUTE_CONFIGURATION" and patch.operation in ADDED:
        found.routes.append(value)
        return True
    done = False
    for number, document in enumerate(found.routes):
        inbound = str(document["name"]).startswith(("inbound|", names.INBOUND))
        if not ours(patch, role, "INBOUND" if inbound else "OUTBOUND") or not _configuration(wanted, document, known):
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
