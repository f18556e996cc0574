"""What a pod's annotations add to its sidecar: resources, times of its probe, levels of its log, volumes.

Each is read where the pod is made, and judged by the same reader where it is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Document = dict[str, Any]
Finding = tuple[str, str]
"""Annotation and message."""
RESOURCES: Final = {
    "sidecar.istio.io/proxyCPU": ("requests", "cpu"),
    "sidecar.istio.io/proxyMemory": ("requests", "memory"),
    "sidecar.istio.io/proxyCPULimit": ("limits", "cpu"),
    "sidecar.istio.io/proxyMemoryLimit": ("limits", "memory"),
}
_READINESS: Final = "readiness.status.sidecar.istio.io/"
_TIMES: Final = ("initialDelaySeconds", "periodSeconds", "failureThreshold")
_LOG: Final = "sidecar.istio.io/logLevel"
_COMPONENT_LOG: Final = "sidecar.istio.io/componentLogLevel"
_VOLUMES: Final = "sidecar.istio.io/userVolume"
_MOUNTS: Final = "sidecar.istio.io/userVolumeMount"
_LEVELS: Final = ("trace", "debug", "info", "warning", "warn", "error", "critical", "off")
_COMPONENT: Final = rf"[a-z0-9_]+:({'|'.join(_LEVELS)})"
_QUANTITY: Final = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")


def container(notes: Mapping[str, str]) -> Document:
    """What goes into the container."""
    found: Document = {}
    for name, (part, what) in RESOURCES.items():
        if notes.get(name):
            found.setdefault("resources", {}).setdefault(part, {})[what] = notes[name]
    if times := {name: int(notes[_READINESS + name]) for name in _TIMES if notes.get(_READINESS + name)}:
        found["readinessProbe"] = times
    if mounts := _named(notes, _MOUNTS):
        found["volumeMounts"] = [{"name": name, **each} for name, each in mounts.items()]
    return found


def volumes(notes: Mapping[str, str]) -> list[Document]:
    return [{"name": name, **each} for name, each in _named(notes, _VOLUMES).items()]


def log_levels(notes: Mapping[str, str]) -> tuple[str, str]:
    """Of the proxy ("": as usual), and of single components."""
    return notes.get(_LOG, ""), notes.get(_COMPONENT_LOG, "")


def wrong(notes: Mapping[str, str]) -> Iterator[Finding]:
    for name in RESOURCES:
        if (text := notes.get(name)) and not _QUANTITY.fullmatch(text):
            yield name, f'"{text}" is no quantity; want such as 100m or 128Mi'
    for name in (_READINESS + each for each in _TIMES):
        least = 0 if name.endswith("DelaySeconds") else 1
        if (text := notes.get(name)) and not (text.isdecimal() and least <= int(text) < 2**31):
            yield name, f'"{text}" is no whole number from {least} on; write one'
    level, components = log_levels(notes)
    if level and level not in _LEVELS:
        yield _LOG, f'"{level}" is no level; use one of {", ".join(_LEVELS)}'
    if components and not re.fullmatch(rf"{_COMPONENT}(,{_COMPONENT})*", components):
        yield _COMPONENT_LOG, f'"{components}" names no levels; write COMPONENT:LEVEL, parted by commas, as rbac:debug'
    for name in (_VOLUMES, _MOUNTS):
        try:
            _named(notes, name)
        except ValueError:
            yield name, 'want JSON, a mapping of names to mappings, as {"cache": {"emptyDir": {}}}'


def _named(notes: Mapping[str, str], name: str) -> dict[str, Document]:
    """ValueError when it is no JSON mapping of mappings."""
    text = notes.get(name, "").strip()
    found = json.loads(text) if text else {}
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise ValueError(name)
    return found
