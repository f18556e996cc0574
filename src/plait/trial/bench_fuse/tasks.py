"""The day-2 tasks of `bench fuse` as data: what is typed for each way, and when it is really done.

`kubectl` lines are sent to the API as kubectl would send them; plait's own are run.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal

from plait.base.wellknown import DATAPLANE_MODE, INJECT, INJECTION, USE_WAYPOINT
from plait.identity import custody
from plait.resources import kinds
from plait.resources.kinds import by_document
from plait.store.api import Document
from plait.trial import rolling, talk
from plait.trial.bench_fuse.worlds import DENIED
from plait.trial.scene import Scene, SceneError

Way = Literal["sidecar", "ambient"]
NAMESPACE: Final = "day2"
APPS: Final = ("web", "api", "cart", "mail")
PORT: Final = 8080
_WAYPOINT: Final = "waypoint"
_IMAGE: Final = {"name": "client", "image": "busybox", "command": ["sleep", "infinity"]}


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed, and what does it."""

    words: str
    work: Callable[[Scene], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Task:
    """`settled` says "" when the task has been verified, not only accepted."""

    name: str
    ways: dict[Way, tuple[Command, ...]]
    settled: Callable[[Scene, Way], Coroutine[Any, Any, str]]


def _labelled(kind: str, name: str, labels: dict[str, str | None]) -> Command:
    shown = " ".join(f"{key}={value}" if value is not None else f"{key}-" for key, value in labels.items())
    where = "" if kind == "namespace" else f" -n {NAMESPACE}"
    body = {"metadata": {"labels": labels}}

    async def work(scene: Scene) -> None:
        if kind == "namespace":
            await scene.label_namespace(name, labels)
        else:
            await scene.api.patch(kinds.SERVICE, name, body, NAMESPACE)

    return Command(f"kubectl label {kind} {name} {shown}{where}", work)


def _applied(document: Document) -> Command:
    async def work(scene: Scene) -> None:
        kind = by_document(document)
        assert kind is not None, document
        name = document["metadata"]["name"]
        await scene.api.patch(kind, name, document, NAMESPACE, type="apply", force=True)

    return Command(f"kubectl apply -f {document['metadata']['name']}.yaml", work)


def _deleted(kind: kinds.Kind, name: str) -> Command:
    async def work(scene: Scene) -> None:
        await scene.api.delete(kind, name, NAMESPACE)

    return Command(f"kubectl delete {kind.plural} {name} -n {NAMESPACE}", work)


def _restarted(*names: str) -> Command:
    async def work(scene: Scene) -> None:
        for name in names:
            mark = {"annotations": {rolling.RESTARTED: str(time.perf_counter())}}
            await rolling.template(scene, name, NAMESPACE, mark)

    return Command(f"kubectl rollout restart deployment {' '.join(names)} -n {NAMESPACE}", work)


def _plait(*words: str, name: str) -> Command:
    """`name`: the option that names the mesh."""

    async def work(scene: Scene) -> None:
        line = [sys.executable, "-m", "plait", *words, name, scene.layout.name]
        running = await asyncio.create_subprocess_exec(
            *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await running.communicate()
        if running.returncode:
            raise SceneError(f"plait {' '.join(words)}: {said.decode().strip()}")

    return Command(f"plait {' '.join(words)}", work)


async def _all_rolled(scene: Scene) -> str:
    for app in APPS:
        if late := await rolling.rolled(scene, app, NAMESPACE):
            return late
    return ""


async def _in_mode(scene: Scene, way: Way, mode: str = "") -> str:
    for app in APPS:
        if late := await rolling.in_mode(scene, app, NAMESPACE, mode or way):
            return late
    return await _all_rolled(scene)


async def _out(scene: Scene, way: Way) -> str:
    return await _in_mode(scene, way, "none")


async def _strict(scene: Scene, _: Way) -> str:
    """Nobody without an identity is let in."""
    outsider, host = await scene.pod(NAMESPACE, "outsider"), await address(scene, "web")
    reply = await scene.inside(outsider, lambda _: talk.get(host, PORT))
    return f"an outsider got {reply.status}" if reply.status else ""


async def _asked(scene: Scene, path: str) -> int:
    client, host = await scene.pod(NAMESPACE, "client"), await address(scene, "web")
    return (await scene.inside(client, lambda _: talk.get(host, PORT, path))).status


async def _open(scene: Scene, way: Way) -> str:
    """Everybody is let in again."""
    return "" if await _strict(scene, way) else "an outsider is still refused"


async def _denies(scene: Scene, _: Way) -> str:
    denied, served = await _asked(scene, DENIED), await _asked(scene, "/")
    return "" if (denied, served) == (403, 200) else f"{DENIED} gives {denied}, / gives {served}"


async def _allows(scene: Scene, _: Way) -> str:
    status = await _asked(scene, DENIED)
    return "" if status == 200 else f"{DENIED} gives {status}"


async def _upgraded(scene: Scene, way: Way) -> str:
    if late := await _all_rolled(scene):
        return late
    return await rolling.rolled(scene, _WAYPOINT, NAMESPACE) if way == "ambient" else ""


async def _new_root(scene: Scene, _: Way) -> str:
    return "the next root does not sign yet" if (scene.layout.mesh_ca / custody.NEXT).exists() else ""


async def address(scene: Scene, app: str) -> str:
    return str((await scene.api.get(kinds.SERVICE, app, NAMESPACE))["spec"]["clusterIP"])


def _security(kind: str, name: str, spec: dict[str, Any]) -> Document:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


_MTLS = _security("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})
_POLICY = _security(
    "AuthorizationPolicy",
    "denied",
    {
        "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
        "action": "DENY",
        "rules": [{"to": [{"operation": {"paths": [DENIED]}}]}],
    },
)
_OPENED = _deleted(kinds.PEER_AUTHENTICATION, "strict")
_ROTATED = _plait("ca", "rotate", name="--name")

TASKS: Final = (
    Task(
        "enrol a namespace",
        {
            "sidecar": (_labelled("namespace", NAMESPACE, {INJECTION: "enabled"}), _restarted(*APPS)),
            "ambient": (_labelled("namespace", NAMESPACE, {DATAPLANE_MODE: "ambient"}),),
        },
        _in_mode,
    ),
    Task("require mutual TLS", {"sidecar": (_applied(_MTLS),), "ambient": (_applied(_MTLS),)}, _strict),
    Task(
        "add an HTTP policy to one service",
        {
            "sidecar": (_applied(_POLICY),),
            "ambient": (
                _plait("waypoint", "apply", "-n", NAMESPACE, "--name", _WAYPOINT, "--wait", name="--mesh"),
                _labelled("service", "web", {USE_WAYPOINT: _WAYPOINT}),
                _applied(_POLICY),
            ),
        },
        _denies,
    ),
    Task(
        "upgrade every proxy",
        {
            "sidecar": (_restarted(*APPS),),
            "ambient": (_plait("proxy", "restart", "--all", name="--name"), _restarted(_WAYPOINT)),
        },
        _upgraded,
    ),
    Task("rotate the root", {"sidecar": (_ROTATED,), "ambient": (_ROTATED,)}, _new_root),
    Task(
        "remove the HTTP policy",
        {
            "sidecar": (_deleted(kinds.AUTHORIZATION_POLICY, "denied"),),
            "ambient": (
                _deleted(kinds.AUTHORIZATION_POLICY, "denied"),
                _labelled("service", "web", {USE_WAYPOINT: None}),
                _plait("waypoint", "delete", _WAYPOINT, "-n", NAMESPACE, name="--mesh"),
            ),
        },
        _allows,
    ),
    Task("allow plaintext again", {"sidecar": (_OPENED,), "ambient": (_OPENED,)}, _open),
    Task(
        "leave the mesh",
        {
            "sidecar": (_labelled("namespace", NAMESPACE, {INJECTION: None}), _restarted(*APPS)),
            "ambient": (_labelled("namespace", NAMESPACE, {DATAPLANE_MODE: None}),),
        },
        _out,
    ),
)


def world(way: Way) -> list[Document]:
    """The namespace before the first task."""
    own = {INJECT: "true"} if way == "sidecar" else {DATAPLANE_MODE: "ambient"}
    never = {DATAPLANE_MODE: "none", INJECT: "false"}
    found: list[Document] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
    for app in APPS:
        metadata = {"name": app, "namespace": NAMESPACE}
        found.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        spec = {"selector": {"app": app}, "ports": [{"name": "http", "port": PORT}]}
        found.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        found.append(rolling.deployment(app, NAMESPACE))
    return [*found, _bare("client", own), _bare("outsider", never)]


def _bare(name: str, labels: dict[str, str]) -> Document:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app": name, **labels}}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [_IMAGE]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
