"""One step at a time, done at the API server: `do`, `done`, `undo`. Each may be repeated, so a killed run goes on.

What is waited for is measured: conditions, captures and ready pods, never that a write was accepted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from plait.app.migration.steps import Step
from plait.base.wellknown import (
    DATAPLANE_MODE,
    INJECT,
    INJECTION,
    REDIRECTION,
    SIDECAR_STATUS,
    USE_WAYPOINT,
    WAYPOINT_FOR,
)
from plait.model.modes import Mode
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Api, ApiError, Document

RESTARTED: Final = "plait.dev/migration"
_LABELS: Final[dict[Mode, dict[str, str | None]]] = {
    "ambient": {DATAPLANE_MODE: "ambient", INJECTION: None},
    "sidecar": {INJECTION: "enabled"},
    "none": {INJECTION: None},
}
_LATER: Final[dict[Mode, dict[str, str | None]]] = {
    "ambient": {},
    "sidecar": {DATAPLANE_MODE: None},
    "none": {DATAPLANE_MODE: None},
}
_OWN: Final[dict[Mode, dict[str, str | None]]] = {
    "ambient": {INJECT: "false", DATAPLANE_MODE: "ambient"},
    "sidecar": {INJECT: "true", DATAPLANE_MODE: None},
    "none": {INJECT: "false", DATAPLANE_MODE: "none"},
}
"""Of one workload's pod template."""
_CONTROLLERS: Final = (kinds.DEPLOYMENT, kinds.DAEMON_SET)


class Stuck(Exception):
    """A step did not come to its end in time, or cannot; the message says what was seen and what to do."""


class Work:
    """Steps of one migration. `compare` says what is lost in the world as it is now, "" nothing."""

    def __init__(
        self, api: Api, namespace: str, workload: str, to: Mode, run: str, compare: Callable[[], Awaitable[str]]
    ) -> None:
        self._api, self._namespace, self._workload, self._to, self._run = api, namespace, workload, to, run
        self._compare = compare

    async def do(self, step: Step, back: bool = False) -> None:
        """Start it; writes what is there already once more."""
        api, space = self._api, self._namespace
        match step.verb:
            case "waypoint":
                await api.patch(kinds.GATEWAY, step.subject, _waypoint(step.subject), space, type="apply", force=True)
            case "attach":
                await self._label(kinds.SERVICE, step.subject, space, {USE_WAYPOINT: step.waypoint})
            case "compare":
                if lost := await self._compare():
                    raise Stuck(lost)
            case "label" if self._workload:
                await self._template({"labels": _OWN[self._to]}, self._workload)
            case "label":
                await self._label(kinds.NAMESPACE, space, "", _LABELS[self._to])
            case "restart":
                mark = f"{self._run}-back" if back else self._run
                await self._template({"annotations": {RESTARTED: mark}}, step.subject)
            case "unlabel" if not self._workload:
                await self._label(kinds.NAMESPACE, space, "", _LATER[self._to])
            case _:
                pass

    async def wait(self, step: Step, mode: Mode, timeout: float) -> float:
        """Until it is done, measured; the seconds it took. `mode` is what pods must be in then."""
        began, seen = time.monotonic(), ""
        while time.monotonic() - began < timeout:
            try:
                seen = await self._missing(step, mode)
            except (ApiError, OSError) as error:
                seen = str(error)
            if not seen:
                return time.monotonic() - began
            await asyncio.sleep(0.1)
        raise Stuck(f"{step.text or step.verb}: not after {timeout:.0f} s: {seen}")

    async def forget_waypoint(self, name: str) -> None:
        try:
            await self._api.delete(kinds.GATEWAY, name, self._namespace)
        except ApiError as error:
            if error.code != 404:
                raise

    async def detach(self, service: str) -> None:
        await self._label(kinds.SERVICE, service, self._namespace, {USE_WAYPOINT: None})

    async def relabel(self, labels: dict[str, str | None]) -> None:
        """Labels of the namespace (or the pod template) as they were before."""
        if self._workload:
            await self._template({"labels": labels}, self._workload)
        else:
            await self._label(kinds.NAMESPACE, self._namespace, "", labels)

    async def labels(self) -> dict[str, str | None]:
        """What `relabel` needs to know."""
        names = (DATAPLANE_MODE, INJECTION, INJECT)
        if self._workload:
            _, document = await self._controller(self._workload)
            found = (document["spec"]["template"].get("metadata") or {}).get("labels") or {}
        else:
            found = (await self._api.get(kinds.NAMESPACE, self._namespace))["metadata"].get("labels") or {}
        return {name: found.get(name) for name in names}

    # What is missing ---

    async def _missing(self, step: Step, mode: Mode) -> str:
        match step.verb:
            case "waypoint":
                gateway = await self._api.get(kinds.GATEWAY, step.subject, self._namespace)
                return "" if _condition(gateway, "Programmed") else "the Gateway is not Programmed"
            case "attach":
                service = await self._api.get(kinds.SERVICE, step.subject, self._namespace)
                return "" if _condition(service, "istio.io/WaypointBound") else "the Service is not WaypointBound"
            case "restart":
                return await self._rolled(step.subject) or await self._modes(mode, step.subject)
            case "settle":
                return await self._modes(mode, self._workload)
            case _:
                return ""

    async def _rolled(self, name: str) -> str:
        kind, found = await self._controller(name)
        status, meta = found.get("status") or {}, found["metadata"]
        if status.get("observedGeneration", 0) < meta.get("generation", 0):
            return f"{kind.kind} {name} was not looked at yet"
        if kind == kinds.DAEMON_SET:
            wanted = status.get("desiredNumberScheduled", 0)
            there = min(status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0))
        else:
            wanted = found["spec"].get("replicas", 1)
            there = min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0))
            if status.get("replicas", 0) > wanted:
                return f"old pods of {kind.kind} {name} are still there"
        return "" if there >= wanted else f"{there} of {wanted} pods of {kind.kind} {name} are new and available"

    async def _modes(self, mode: Mode, workload: str) -> str:
        pods, _ = await self._api.list(kinds.POD, self._namespace)
        for pod in pods:
            meta = pod["metadata"]
            if not _alive(pod) or (workload and not _of(pod, workload)) or _proxy(meta):
                continue
            notes = meta.get("annotations") or {}
            found = "sidecar" if SIDECAR_STATUS in notes else "ambient" if REDIRECTION in notes else "none"
            if found != mode or not _ready(pod):
                return f"pod {meta['name']} is {found}{'' if _ready(pod) else ', not ready'}"
        return ""

    # Writes ---

    async def _label(self, kind: Kind, name: str, namespace: str, labels: dict[str, str | None]) -> None:
        await self._api.patch(kind, name, {"metadata": {"labels": labels}}, namespace)

    async def _template(self, metadata: Document, name: str) -> None:
        kind, _ = await self._controller(name)
        await self._api.patch(kind, name, {"spec": {"template": {"metadata": metadata}}}, self._namespace)

    async def _controller(self, name: str) -> tuple[Kind, Document]:
        for kind in _CONTROLLERS:
            try:
                return kind, await self._api.get(kind, name, self._namespace)
            except ApiError as error:
                if error.code != 404:
                    raise
        raise Stuck(f"{self._namespace}/{name} is no Deployment or DaemonSet: make its pods anew yourself, then go on")


def _waypoint(name: str) -> Document:
    listeners = [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "labels": {WAYPOINT_FOR: "service"}},
        "spec": {"gatewayClassName": "istio-waypoint", "listeners": listeners},
    }


def _condition(document: Document, name: str) -> bool:
    conditions = (document.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == name and each.get("status") == "True" for each in conditions)


def _alive(pod: Document) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def _ready(pod: Document) -> bool:
    return _condition(pod, "Ready")


def _proxy(meta: Document) -> bool:
    return "gateway.networking.k8s.io/gateway-name" in (meta.get("labels") or {})


def _of(pod: Document, workload: str) -> bool:
    """A Deployment's pods are named after its ReplicaSet, a DaemonSet's after itself."""
    owners: list[Any] = pod["metadata"].get("ownerReferences") or []
    names = {owner.get("name", "") for owner in owners} | {pod["metadata"]["name"]}
    template = (pod["metadata"].get("labels") or {}).get("pod-template-hash", "")
    return workload in names or f"{workload}-{template}" in names
