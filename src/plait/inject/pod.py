"""inject(pod): the same pod with a sidecar. Pure; what is there stays as it was.

The sidecar is a native one (an init container that keeps running): it is up before the application starts and ends
after it, and a Job that is done is done. It runs one Envoy; its agent is the node's.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

from plait.base.wellknown import (
    CANONICAL_NAME,
    CANONICAL_REVISION,
    PROXY_CONTAINER,
    PROXY_VOLUME,
    READY_PORT,
    SIDECAR_STATUS,
    TUNNEL_LABEL,
)
from plait.resources.proxy_container import container, volume

Document = dict[str, Any]
TEMPLATES: Final = "inject.istio.io/templates"
_NATIVE: Final = "sidecar.istio.io/nativeSidecar"
_RESOURCES: Final = {
    "sidecar.istio.io/proxyCPU": ("requests", "cpu"),
    "sidecar.istio.io/proxyMemory": ("requests", "memory"),
    "sidecar.istio.io/proxyCPULimit": ("limits", "cpu"),
    "sidecar.istio.io/proxyMemoryLimit": ("limits", "memory"),
}
_STARTUP: Final = {
    "httpGet": {"path": "/healthz/ready", "port": READY_PORT},
    "periodSeconds": 1,
    "failureThreshold": 600,
}


def inject(pod: Mapping[str, Any], folder: str) -> Document:
    """`folder` is where a node keeps the folders of its proxies (`Layout.proxies`)."""
    found: Document = copy.deepcopy(dict(pod))
    meta, spec = found.setdefault("metadata", {}), found.setdefault("spec", {})
    notes = meta.get("annotations") or {}
    if "gateway" in notes.get(TEMPLATES, ""):
        names = _gateway(spec)
    else:
        names = _sidecar(spec, notes)
    spec["volumes"] = [
        *(each for each in spec.get("volumes") or () if each.get("name") != PROXY_VOLUME),
        volume(folder),
    ]
    status = {"initContainers": names[0], "containers": names[1], "volumes": [PROXY_VOLUME], "revision": "default"}
    meta["annotations"] = {**notes, SIDECAR_STATUS: json.dumps(status)}
    meta["labels"] = {**_canonical(meta), **(meta.get("labels") or {}), TUNNEL_LABEL: "http"}
    return found


def _sidecar(spec: Document, notes: Mapping[str, str]) -> tuple[list[str], list[str]]:
    proxy = container(resources=_resources(notes))
    if notes.get(_NATIVE, "true").lower() == "false":
        spec["containers"] = [proxy, *(spec.get("containers") or ())]
        return [], [PROXY_CONTAINER]
    spec["initContainers"] = [
        {**proxy, "restartPolicy": "Always", "startupProbe": dict(_STARTUP)},
        *(spec.get("initContainers") or ()),
    ]
    return [PROXY_CONTAINER], []


def _gateway(spec: Document) -> tuple[list[str], list[str]]:
    """The container with image `auto` becomes the proxy; what else it says stays."""
    made = container(low_ports=True)
    rest = []
    for each in spec.get("containers") or ():
        if each.get("name") == PROXY_CONTAINER:
            env = [*made["env"], *(each.get("env") or ())]
            ports = [*made["ports"], *(each.get("ports") or ())]
            made = {**made, **each, "image": made["image"], "env": env, "ports": ports}
            made["volumeMounts"] = [*container()["volumeMounts"], *(each.get("volumeMounts") or ())]
        else:
            rest.append(each)
    spec["containers"] = [made, *rest]
    return [], [PROXY_CONTAINER]


def _resources(notes: Mapping[str, str]) -> Document:
    found: Document = {}
    for name, (part, what) in _RESOURCES.items():
        if notes.get(name):
            found.setdefault(part, {})[what] = notes[name]
    return found


def _canonical(meta: Mapping[str, Any]) -> dict[str, str]:
    labels = meta.get("labels") or {}
    name = labels.get("app.kubernetes.io/name") or labels.get("app") or ""
    revision = labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    return {CANONICAL_NAME: name, CANONICAL_REVISION: revision} if name else {}
