"""Gateways of the Gateway API as documents and as the typed objects that `deploy` reads."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from plait.resources.decode import decode
from plait.resources.gateway_api.gateway import Gateway

Document = dict[str, Any]
HBONE = {"name": "mesh", "port": 15008, "protocol": "HBONE"}
HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}


def gateway(
    name: str, class_name: str, *listeners: Document, spec: Document | None = None, **metadata: Any
) -> Document:
    """In namespace shop."""
    found = d.document("gateway.networking.k8s.io/v1", "Gateway", name, "shop", **metadata)
    found["metadata"]["uid"] = f"uid-of-{name}"
    return {**found, "spec": {"gatewayClassName": class_name, "listeners": list(listeners), **(spec or {})}}


def waypoint(name: str = "waypoint", /, **rest: Any) -> Document:
    return gateway(name, "istio-waypoint", HBONE, **rest)


def typed(document: Document) -> Gateway:
    found, wrong = decode(document)
    assert isinstance(found, Gateway), wrong
    return found
