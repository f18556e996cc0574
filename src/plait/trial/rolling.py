"""Deployments that benches roll: the pods a careful operator would write, changed as kubectl would, and waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plait.base import wellknown
from plait.resources import kinds
from plait.store.api import Document
from plait.trial.scene import Scene, ready

LINGER = 5
"""Seconds an application goes on serving after its pod was deleted, so that callers hear of it (a preStop hook), and
then until those who keep a connection have left it."""
RESTARTED = "kubectl.kubernetes.io/restartedAt"


def _probe(port: int) -> Document:
    """A patient one: a machine so busy that it is not answered in time is no reason to let nobody serve."""
    return {"tcpSocket": {"port": port}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 10}


def deployment(name: str, namespace: str, *, replicas: int = 1, ports: Sequence[int] = (8080,)) -> Document:
    """Of the echo server, a container a port; a new pod is ready before an old one goes."""
    containers = [
        {
            "name": f"app-{port}",
            "image": "plait/echo",
            "env": [{"name": "PORT", "value": str(port)}, {"name": "DRAIN", "value": str(LINGER)}],
            "readinessProbe": _probe(port),
            "lifecycle": {"preStop": {"exec": {"command": ["/bin/sleep", str(LINGER)]}}},
        }
        for port in ports
    ]
    spec = {"serviceAccountName": name, "terminationGracePeriodSeconds": 20, "containers": containers}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


async def template(scene: Scene, name: str, namespace: str, metadata: dict[str, Any]) -> None:
    """Change labels or annotations of the pods: all of them are made anew."""
    body = {"spec": {"template": {"metadata": metadata}}}
    await scene.api.patch(kinds.DEPLOYMENT, name, body, namespace)


async def rolled(scene: Scene, name: str, namespace: str) -> str:
    """ "" when every pod is of the present template, ready, and no other is left."""
    found = await scene.api.get(kinds.DEPLOYMENT, name, namespace)
    status, wanted = found.get("status") or {}, found["spec"]["replicas"]
    if status.get("observedGeneration") != found["metadata"]["generation"]:
        return f"{name}: its controller has not seen it yet"
    if status.get("updatedReplicas", 0) < wanted or status.get("availableReplicas", 0) < wanted:
        return f"{name}: {status.get('updatedReplicas', 0)} of {wanted} pods are new"
    labels = found["spec"]["selector"]["matchLabels"]
    pods, _ = await scene.api.list(kinds.POD, namespace, labels=",".join(f"{k}={v}" for k, v in labels.items()))
    late = [pod["metadata"]["name"] for pod in pods if not ready(pod)]
    if late or len(pods) != wanted:
        return f"{name}: {len(pods)} pods for {wanted}, not ready or going: {', '.join(late)}"
    return ""


async def in_mode(scene: Scene, app: str, namespace: str, mode: str) -> str:
    """ "" when every pod of an application is measured to be in `mode`: none, ambient or sidecar."""
    for pod in await scene.pods(namespace, f"app={app}"):
        captured = pod.annotations.get(wellknown.REDIRECTION) == "enabled"
        injected = wellknown.SIDECAR_STATUS in pod.annotations
        found = "sidecar" if injected else "ambient" if captured else "none"
        if found != mode:
            return f"{pod.name} is in mode {found}, not {mode}"
    return ""
