"""Statuses of the model as what would be written to `status` of the object, in Kubernetes' words.

Times are left out: `merging` adds them to what is written; offline there is no moment at which a condition changed.
No IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from plait.diagnose.messages import MESSAGES
from plait.model.status import (
    BoundStatus,
    ClassStatus,
    Condition,
    GatewayStatus,
    Message,
    ParentReference,
    RouteStatus,
    Status,
)
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.objects import Objects

Document = dict[str, Any]
_PAGES = "https://istio.io/latest/docs/reference/config/analysis"
GATEWAYS = "plait.dev/gateway-controller"
WAYPOINTS = "plait.dev/waypoint-controller"
_BUILT_IN = {
    "istio": "istio.io/gateway-controller",
    "istio-waypoint": "istio.io/mesh-controller",
    "plait-waypoint": WAYPOINTS,
}
_BY_NAME = {str(kind): kind for kind in kinds.ALL}


def written(statuses: Mapping[str, Status], objects: Objects) -> Iterator[Document]:
    """apiVersion, kind, namespace, name and status of every object that has one; keys are "plural.group/ns/name"."""
    for key, status in statuses.items():
        kind, namespace, name = named(key)
        found = objects.of(kind).get((namespace, name))
        if found is None:  # it could not be read; its problems say why
            continue
        yield {
            "apiVersion": kind.api_version(),
            "kind": kind.kind,
            "namespace": namespace,
            "name": name,
            "status": status_of(kind, namespace, status, found.meta.generation, objects),
        }


def named(key: str) -> tuple[Kind, str, str]:
    """Kind, namespace and name of a status' key."""
    plural, namespace, name = key.split("/", 2)
    return _BY_NAME[plural], namespace, name


def status_of(kind: Kind, namespace: str, status: Status, generation: int, objects: Objects) -> Document:
    """The fields of `status` that are ours to write. `generation` is that of the object the status is about."""
    if isinstance(status, RouteStatus):
        policy = kind == kinds.BACKEND_TLS_POLICY
        return {
            "ancestors" if policy else "parents": [
                {
                    "ancestorRef" if policy else "parentRef": _reference(each.parent),
                    "controllerName": _controller(each.parent, namespace, objects),
                    "conditions": _conditions(each.conditions, generation),
                }
                for each in status.parents
            ]
        }
    found: Document = {"conditions": _conditions(status.conditions, generation)}
    if isinstance(status, GatewayStatus):
        found["listeners"] = [
            {
                "name": each.name,
                "supportedKinds": msgspec.to_builtins(each.supported_kinds),
                "attachedRoutes": each.attached_routes,
                "conditions": _conditions(each.conditions, generation),
            }
            for each in status.listeners
        ]
        if status.attached_listener_sets is not None:
            found["attachedListenerSets"] = status.attached_listener_sets
    elif isinstance(status, ClassStatus):
        found["supportedFeatures"] = [{"name": each} for each in status.features]
    else:
        assert isinstance(status, BoundStatus)
        if status.messages:
            found["validationMessages"] = [_message(each) for each in status.messages]
    return found


def _message(each: Message) -> Document:
    """Istio's AnalysisMessageBase. Codes of our own have no page of Istio's."""
    known = MESSAGES.get(each.code)
    name = known.name if known is not None else each.code
    found: Document = {"type": {"code": each.code, "name": name}, "level": each.level.upper()}
    if each.code.startswith("IST"):
        found["documentationUrl"] = f"{_PAGES}/{each.code.lower()}/"
    return found


def _conditions(found: Iterable[Condition], generation: int) -> list[Document]:
    seen = {"observedGeneration": generation} if generation else {}  # 0: the manifest was never stored
    return [{**msgspec.to_builtins(each), **seen} for each in found]


def _reference(parent: ParentReference) -> Document:
    """As the route wrote it."""
    optional = {"namespace": parent.namespace, "sectionName": parent.section_name, "port": parent.port}
    written = {name: value for name, value in optional.items() if value is not None}
    return {"group": parent.group, "kind": parent.kind, "name": parent.name, **written}


def _controller(parent: ParentReference, namespace: str, objects: Objects) -> str:
    """The controller of the parent's class; ours for services, which have none."""
    name = parent.namespace or namespace, parent.name
    if parent.kind == "ListenerSet":
        member = objects.of(kinds.LISTENER_SET).get(name)
        if member is not None:
            name = member.spec.parent_ref.named(name[0]) or name
    elif parent.kind != "Gateway":
        return WAYPOINTS
    gateway = objects.of(kinds.GATEWAY).get(name)
    class_name = gateway.spec.gateway_class_name if gateway is not None else ""
    described = objects.of(kinds.GATEWAY_CLASS).get(("", class_name))
    return described.spec.controller_name if described is not None else _BUILT_IN.get(class_name, GATEWAYS)
