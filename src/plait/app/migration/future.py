"""future(documents, plan): the objects as they will be when the migration is done. Pure; nothing is written.

Compiled like what is really there, it says beforehand how every request will be judged.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

from plait.app.migration.plan import Plan
from plait.base.wellknown import (
    DATAPLANE_MODE,
    OPTIONAL_WAYPOINT,
    REDIRECTION,
    SIDECAR_STATUS,
    USE_WAYPOINT,
    USE_WAYPOINT_NAMESPACE,
    WAYPOINT_FOR,
)
from plait.model.modes import Mode

Document = dict[str, Any]


def waypoint(namespace: str, name: str) -> Document:
    """The Gateway that is made where a waypoint is missing."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace, "labels": {WAYPOINT_FOR: "service"}},
        "spec": {
            "gatewayClassName": "istio-waypoint",
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
        },
    }


def future(documents: Iterable[Document], found: Plan) -> Iterator[Document]:
    """What is not touched comes back as it is."""
    pods, services = frozenset(found.pods), frozenset(found.services)
    for document in documents:
        meta = document["metadata"]
        here = meta.get("namespace") == found.scope.namespace
        if here and document["kind"] == "Pod" and meta["name"] in pods:
            yield _pod(document, found.to)
        elif here and document["kind"] == "Service" and meta["name"] in services:
            yield _bound(document, found.waypoint)
        else:
            yield document
    if found.creates_waypoint:
        yield waypoint(*found.waypoint.split("/"))


def _pod(document: Document, to: Mode) -> Document:
    made = copy.deepcopy(document)
    meta = made["metadata"]
    notes = {**(meta.get("annotations") or {}), SIDECAR_STATUS: "{}", REDIRECTION: "enabled"}
    if to != "sidecar":
        del notes[SIDECAR_STATUS]
    if to != "ambient":
        del notes[REDIRECTION]
    labels = {**(meta.get("labels") or {}), DATAPLANE_MODE: "ambient" if to == "ambient" else "none"}
    made["metadata"] = {**meta, "annotations": notes, "labels": labels}
    return made


def _bound(document: Document, name: str) -> Document:
    made = copy.deepcopy(document)
    meta = made["metadata"]
    namespace, _, bare = name.partition("/")
    labels = {**(meta.get("labels") or {}), USE_WAYPOINT: bare, USE_WAYPOINT_NAMESPACE: namespace}
    notes = {name: value for name, value in (meta.get("annotations") or {}).items() if name != OPTIONAL_WAYPOINT}
    made["metadata"] = {**meta, "labels": labels, "annotations": notes}
    return made
