"""The GatewayClasses that are always there."""

from __future__ import annotations

from typing import Any

from plait.model.compile.traffic.gateway_api.classes import BUILT_IN
from plait.resources import kinds

Document = dict[str, Any]
_CONTROLLERS = {
    "istio": "istio.io/gateway-controller",
    "istio-waypoint": "istio.io/mesh-controller",
    "plait": "plait.dev/gateway-controller",
    "plait-waypoint": "plait.dev/waypoint-controller",
}
_SAYING = {"gateway": "An Envoy at the edge of the mesh", "waypoint": "An Envoy before the services that ask for it"}


def built_in() -> dict[str, Document]:
    """Their documents by name."""
    return {
        name: {
            "apiVersion": kinds.GATEWAY_CLASS.api_version(),
            "kind": kinds.GATEWAY_CLASS.kind,
            "metadata": {"name": name},
            "spec": {"controllerName": _CONTROLLERS[name], "description": _SAYING[runs]},
        }
        for name, runs in BUILT_IN.items()
    }
