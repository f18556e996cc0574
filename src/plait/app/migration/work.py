"""One step at a time, done at the API server: `do` and `wait`. Each may be repeated, so a killed run goes on.

What is waited for is measured: conditions, captures and ready pods, never that a write was accepted. The condition of a
Service says whether every proxy has acknowledged its waypoint (`app.telling`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from plait.app.migration.future import waypoint
from plait.app.migration.plan import Scope
from plait.app.migration.steps import Step
from plait.base.wellknown import (
    DATAPLANE_MODE,
    GATEWAY_NAME,
    INJECT,
    INJECTION,
    OPTIONAL_WAYPOINT,
    REDIRECTION,
    SIDECAR_STATUS,
    USE_WAYPOINT,
    USE_WAYPOINT_NAMESPACE,
)
from plait.model.modes import Mode
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Api, ApiError, Document

RESTARTED: Final = "plait.dev/migration"
MOMENT: Final = 10.0
"""Seconds after which a difference between two worlds is none of the moment."""
Labels = dict[str, str | None]
"""None: not there."""
_LABELS: Final[dict[Mode, Labels]] = {
    "ambient": {DATAPLANE_MODE: "ambient", INJECTION: None},
    "sidecar": {INJECTION: "enabled"},
    "none": {INJECTION: None},
}
_LATER: Final[dict[Mode, Labels]] = {
    "ambient": {},
    "sidecar": {DATAPLANE_MODE: None},
    "none": {DATAPLANE_MODE: None},
}
_OWN: Final[dict[Mode, Labels]] = {
    "ambient": {INJECT: "false", DATAPLANE_MODE: "ambient"},
    "sidecar": {INJECT: "true", DATAPLANE_MODE: None},
    "none": {INJECT: "false", DATAPLANE_MODE: "none"},
}
"""Of one workload's pod template."""
_CONTROLLERS: Final = (kinds.DEPLOYMENT, kinds.DAEMON_SET)


class Stuck(Exception):
    """A step did not come to its end in time, or cannot; the message says what was seen and what to do."""


class Work:
    """Steps of one migration to a mode. `labels` are those from before it; `mark` names this run at pods made anew.

    `compare` says what is judged otherwise or lost in the world as it is now, "" nothing.
    """

    def __init__(
        self,
        api: Api,
        scope: Scope,
        to: Mode,
        labels: Labels,
        mark: str,
        compare: Callable[[], Awaitable[str]],
        *,
        back: bool = False,
    ) -> None:
        template = labels if back else _OWN[to]
        self._template: Labels = template if scope.workload else {}
        self._api, self._namespace, self._workload, self._to = api, scope.namespace, scope.workload, to
        self._labels, self._mark, self._compare = labels, mark, compare

    async def do(self, step: Step) -> None:
        """Start it; writes what is there already once more."""
        api, space = self._api, self._namespace
        match step.verb:
            case "waypoint":
                document = waypoint(space, step.subject)
                await api.patch(kinds.GATEWAY, step.subject, document, space, type="apply", force=True)
            case "forget":
                await self._forget(step.subject)
            case "hold":
                await self._annotate(step.subject, step.waypoint)
            case "release":
                await self._annotate(step.subject, None)
            case "attach":
                where, _, name = step.waypoint.partition("/")
                other = where if where != space else None
                await self._label(
                    kinds.SERVICE, step.subject, space, {USE_WAYPOINT: name, USE_WAYPOINT_NAMESPACE: other}
                )
            case "detach":
                labels: Labels = {USE_WAYPOINT: None, USE_WAYPOINT_NAMESPACE: None}
                await self._label(kinds.SERVICE, step.subject, space, labels)
            case "compare" | "verify":
                if lost := await self._differing():
                    raise Stuck(lost)
            case "label" if not self._workload:
                await self._label(kinds.NAMESPACE, space, "", _LABELS[self._to])
            case "relabel" if not self._workload:
                await self._label(kinds.NAMESPACE, space, "", _kept(self._labels))
            case "restore" if not self._workload:
                await self._label(kinds.NAMESPACE, space, "", self._labels)
            case "restart":
                await self._restart(step.subject)
            case "unlabel" if not self._workload:
                await self._label(kinds.NAMESPACE, space, "", _LATER[self._to])
            case _:
                pass

    async def wait(self, step: Step, timeout: float) -> float:
        """Until it is done, measured; the seconds it took."""
        began, seen = time.monotonic(), ""
        while time.monotonic() - began < timeout:
            try:
                seen = await self._missing(step)
            except (ApiError, OSError) as error:
                seen = str(error)
            if not seen:
                return time.monotonic() - began
            await asyncio.sleep(0.1)
        raise Stuck(f"{step.text or step.verb}: not after {timeout:.0f} s: {seen}")

    async def _differing(self) -> str:
        """What stays different: a proxy that is not ready for a moment refuses what it will serve again."""
        began = time.monotonic()
        while (lost := await self._compare()) and time.monotonic() - began < MOMENT:
            await asyncio.sleep(0.5)
        return lost

    async def _forget(self, name: str) -> None:
        try:
            await self._api.delete(kinds.GATEWAY, name, self._namespace)
        except ApiError as error:
            if error.code != 404:
                raise

    async def some(self, step: Step, pods: int, timeout: float) -> None:
        """Only so many pods of a workload are made anew: its rollout is paused as soon as there are. `do` goes on."""
        kind, _ = await self._controller(step.subject)
        if kind != kinds.DEPLOYMENT:
            raise Stuck(f"{kind.kind} {step.subject} cannot be made anew in part: go on without --canary, or roll back")
        began = time.monotonic()
        await self._restart(step.subject)
        seen = await self._few(step.subject, pods)
        while seen and time.monotonic() - began < timeout:
            await asyncio.sleep(0.05)
            seen = await self._few(step.subject, pods)
        if seen:
            raise Stuck(f"{step.subject}: not after {timeout:.0f} s: {seen}")

    async def labels(self) -> Labels:
        """Those of the namespace (or the pod template) that say the mode, as they are now; None: not there."""
        names = (DATAPLANE_MODE, INJECTION, INJECT)
        if self._workload:
            _, document = await self._controller(self._workload)
            found = (document["spec"]["template"].get("metadata") or {}).get("labels") or {}
        else:
            found = (await self._api.get(kinds.NAMESPACE, self._namespace))["metadata"].get("labels") or {}
        return {name: found.get(name) for name in names}

    # What is missing ---

    async def _missing(self, step: Step) -> str:
        match step.verb:
            case "waypoint":
                gateway = await self._api.get(kinds.GATEWAY, step.subject, self._namespace)
                return "" if _condition(gateway, "Programmed") else "the Gateway is not Programmed"
            case "attach":
                service = await self._api.get(kinds.SERVICE, step.subject, self._namespace)
                return "" if _condition(service, "istio.io/WaypointBound") else "the Service is not WaypointBound"
            case "detach":
                service = await self._api.get(kinds.SERVICE, step.subject, self._namespace)
                return "the Service is WaypointBound" if _condition(service, "istio.io/WaypointBound") else ""
            case "forget":
                pods, _ = await self._api.list(kinds.POD, self._namespace, labels=f"{GATEWAY_NAME}={step.subject}")
                return f"{len(pods)} of its pods end what they have begun" if pods else ""
            case "restart":
                return await self._rolled(step.subject) or await self._modes(self._to, step.subject)
            case "settle":
                return await self._modes(self._to, self._workload)
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

    async def _few(self, name: str, pods: int) -> str:
        """What is missing until so many pods are new; then no more will be."""
        _, found = await self._controller(name)
        status = found.get("status") or {}
        if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
            return f"Deployment {name} was not looked at yet"
        there = min(status.get("updatedReplicas", 0), pods)
        if there < pods:
            return f"{there} of {pods} pods are new"
        if not found["spec"].get("paused"):
            await self._api.patch(kinds.DEPLOYMENT, name, {"spec": {"paused": True}}, self._namespace)
        moved = [pod for pod in await self._pods(name) if _mode(pod) == self._to and _ready(pod)]
        return "" if len(moved) >= pods else f"{len(moved)} of {pods} pods are {self._to} and ready"

    async def _modes(self, mode: Mode, workload: str) -> str:
        for pod in await self._pods(workload):
            if (found := _mode(pod)) != mode or not _ready(pod):
                return f"pod {pod['metadata']['name']} is {found}{'' if _ready(pod) else ', not ready'}"
        return ""

    async def _pods(self, workload: str) -> list[Document]:
        """Those that live, of one workload or ("") of all; proxies of gateways are nobody's."""
        pods, _ = await self._api.list(kinds.POD, self._namespace)
        return [
            pod for pod in pods if _alive(pod) and (not workload or _of(pod, workload)) and not _proxy(pod["metadata"])
        ]

    # Writes ---

    async def _label(self, kind: Kind, name: str, namespace: str, labels: Labels) -> None:
        await self._api.patch(kind, name, {"metadata": {"labels": labels}}, namespace)

    async def _restart(self, name: str) -> None:
        """New pods by the template; where the workload moves alone, its template says the mode."""
        kind, document = await self._controller(name)
        metadata = (document["spec"]["template"].get("metadata") or {}).get("labels") or {}
        same = all(metadata.get(key) == value for key, value in self._template.items())
        spec: Document = {}
        if not same or await self._modes(self._to, name):
            spec["template"] = {"metadata": {"labels": self._template, "annotations": {RESTARTED: self._mark}}}
        if document["spec"].get("paused"):
            spec["paused"] = None
        if spec:
            await self._api.patch(kind, name, {"spec": spec}, self._namespace)

    async def _annotate(self, service: str, waypoint: str | None) -> None:
        body = {"metadata": {"annotations": {OPTIONAL_WAYPOINT: waypoint}}}
        await self._api.patch(kinds.SERVICE, service, body, self._namespace)

    async def _controller(self, name: str) -> tuple[Kind, Document]:
        for kind in _CONTROLLERS:
            try:
                return kind, await self._api.get(kind, name, self._namespace)
            except ApiError as error:
                if error.code != 404:
                    raise
        raise Stuck(f"{self._namespace}/{name} is no Deployment or DaemonSet: make its pods anew yourself, then go on")


def _kept(labels: Labels) -> Labels:
    """What makes new pods as they were, with nothing that would change those that are there."""
    return {name: value for name, value in labels.items() if value is not None or name != DATAPLANE_MODE}


def _condition(document: Document, name: str) -> bool:
    conditions = (document.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == name and each.get("status") == "True" for each in conditions)


def _alive(pod: Document) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def _ready(pod: Document) -> bool:
    return _condition(pod, "Ready")


def _mode(pod: Document) -> Mode:
    notes = pod["metadata"].get("annotations") or {}
    return "sidecar" if SIDECAR_STATUS in notes else "ambient" if REDIRECTION in notes else "none"


def _proxy(meta: Document) -> bool:
    return GATEWAY_NAME in (meta.get("labels") or {})


def _of(pod: Document, workload: str) -> bool:
    """A Deployment's pods are named after its ReplicaSet, a DaemonSet's after itself."""
    owners: list[Any] = pod["metadata"].get("ownerReferences") or []
    names = {owner.get("name", "") for owner in owners} | {pod["metadata"]["name"]}
    template = (pod["metadata"].get("labels") or {}).get("pod-template-hash", "")
    return workload in names or f"{workload}-{template}" in names
