"""Waypoints as rows: which Gateways are some, and what their status says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plait.base.wellknown import ASLEEP, WAYPOINT_FOR

Document = dict[str, Any]


def condition(gateway: Document, kind: str = "Programmed") -> Document:
    """The condition, when it is about the Gateway as it is now."""
    generation = gateway.get("metadata", {}).get("generation", 0)
    for each in (gateway.get("status") or {}).get("conditions") or ():
        if each["type"] == kind and each.get("observedGeneration", generation) == generation:
            return dict(each)
    return {}


def waypoints(gateways: Iterable[Document], described: Iterable[Document]) -> list[Document]:
    """Those whose class runs waypoints; `described` are the GatewayClasses."""
    from plait.model.compile.traffic.gateway_api import classes  # half a second that `apply` need not wait
    from plait.resources.decode import decode
    from plait.resources.gateway_api.gateway import GatewayClass

    typed = (decode(each)[0] for each in described)
    known = {each.ident: each for each in typed if isinstance(each, GatewayClass)}
    found = [each for each in gateways if classes.runs(each["spec"]["gatewayClassName"], known) == "waypoint"]
    return sorted(found, key=lambda each: (each["metadata"]["namespace"], each["metadata"]["name"]))


def row(gateway: Document) -> Document:
    """For a list."""
    metadata = gateway["metadata"]
    addresses = (gateway.get("status") or {}).get("addresses") or ()
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "class": gateway["spec"]["gatewayClassName"],
        "traffic type": (metadata.get("labels") or {}).get(WAYPOINT_FOR) or "service",
        "programmed": condition(gateway).get("status") or "Unknown",
        "address": next((each["value"] for each in addresses), ""),
    }


def ready(gateway: Document, deployments: Iterable[Document]) -> str:
    """Ready proxies and wanted ones; "asleep" while none runs because nobody uses it."""
    uid = gateway["metadata"]["uid"]
    own = [d for d in deployments if any(r["uid"] == uid for r in d["metadata"].get("ownerReferences") or ())]
    if own and all((each["metadata"].get("annotations") or {}).get(ASLEEP) == "true" for each in own):
        return "asleep"
    ready = sum((each.get("status") or {}).get("readyReplicas") or 0 for each in own)
    return f"{ready}/{sum(each['spec'].get('replicas', 1) for each in own)}"


def conditions(gateway: Document, proxies: str) -> list[Document]:
    """One row each; `proxies` is what `ready` says."""
    metadata = gateway["metadata"]
    return [
        {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "ready": proxies,
            "type": each["type"],
            "status": each["status"],
            "reason": each["reason"],
            "message": each.get("message", ""),
        }
        for each in (gateway.get("status") or {}).get("conditions") or ()
    ]
