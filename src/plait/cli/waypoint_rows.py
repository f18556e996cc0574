"""Waypoints as rows: which Gateways are some, and what their status says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plait.base.wellknown import (
    ASLEEP,
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
    PLACEMENT,
    POOL_NAMESPACE,
    WAYPOINT_FOR,
)
from plait.deploy.operation import NODE_CLASS

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


def row(gateway: Document, deployments: Iterable[Document]) -> Document:
    """For a list."""
    metadata = gateway["metadata"]
    addresses = (gateway.get("status") or {}).get("addresses") or ()
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "class": gateway["spec"]["gatewayClassName"],
        "traffic type": (metadata.get("labels") or {}).get(WAYPOINT_FOR) or "service",
        "placement": placement(gateway, deployments),
        "programmed": condition(gateway).get("status") or "Unknown",
        "address": next((each["value"] for each in addresses), ""),
    }


def ready(gateway: Document, deployments: Iterable[Document]) -> str:
    """Ready proxies and wanted ones; "asleep" while none runs because nobody uses it."""
    own = _own(gateway, deployments)
    if own and all((each["metadata"].get("annotations") or {}).get(ASLEEP) == "true" for each in own):
        return "asleep"
    ready = sum((each.get("status") or {}).get("readyReplicas") or 0 for each in own)
    return f"{ready}/{sum(each['spec'].get('replicas', 1) for each in own)}"


def placement(gateway: Document, deployments: Iterable[Document]) -> str:
    """Where its proxies are: while they move, where they come from and where they go to."""
    found = sorted({_place(each) for each in _own(gateway, deployments)})
    infrastructure = (gateway["spec"].get("infrastructure") or {}).get("annotations")
    wanted = (infrastructure or gateway["metadata"].get("annotations") or {}).get(PLACEMENT, "node")
    return " and ".join(found) or wanted


def _place(deployment: Document) -> str:
    if deployment["metadata"]["namespace"] == POOL_NAMESPACE:
        return "managed"
    chosen = deployment["spec"]["template"]["spec"].get("nodeSelector") or {}
    return "serverless" if NODE_CLASS in chosen else "node"


def _own(gateway: Document, deployments: Iterable[Document]) -> list[Document]:
    metadata = gateway["metadata"]
    return [each for each in deployments if _is_of(each["metadata"], metadata)]


def _is_of(made: Document, gateway: Document) -> bool:
    """In the pool labels say whose it is, elsewhere its owner."""
    labels = made.get("labels") or {}
    if made.get("namespace") == POOL_NAMESPACE and GATEWAY_NAMESPACE in labels:
        return (labels[GATEWAY_NAMESPACE], labels.get(GATEWAY_NAME)) == (gateway["namespace"], gateway["name"])
    return any(each["uid"] == gateway["uid"] for each in made.get("ownerReferences") or ())


def conditions(gateway: Document, deployments: Iterable[Document]) -> list[Document]:
    """One row each, with where the proxies are and how many are ready."""
    metadata = gateway["metadata"]
    proxies, place = ready(gateway, deployments), placement(gateway, deployments)
    return [
        {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "placement": place,
            "ready": proxies,
            "type": each["type"],
            "status": each["status"],
            "reason": each["reason"],
            "message": each.get("message", ""),
        }
        for each in (gateway.get("status") or {}).get("conditions") or ()
    ]
