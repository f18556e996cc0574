"""How a pod's proxy is to run: the mesh's defaults, over them what the pod's annotations say. Read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from plait.resources.durations import seconds
from plait.resources.mesh_config.mesh import overlaid
from plait.resources.mesh_config.proxy import ProxyConfig
from plait.resources.proxy_container import DRAIN_SECONDS
from plait.resources.redirection import MODE

ANNOTATION: Final = "proxy.istio.io/config"
NATIVE: Final = "sidecar.istio.io/nativeSidecar"
Finding = tuple[str, str]
"""Path and message."""


class Proxying(Struct, frozen=True):
    """`hold`: the application waits for the proxy (always so beside a native one). `threads` 0: one a CPU."""

    native: bool = True
    hold: bool = True
    interception: str = "REDIRECT"
    threads: int = 0
    drain_seconds: float = DRAIN_SECONDS
    """Of a proxy that is no native sidecar: those end after the application anyway."""
    wrong: tuple[Finding, ...] = ()


def proxying(notes: Mapping[str, str], defaults: ProxyConfig) -> Proxying:
    """`defaults` are those of the mesh (`defaultConfig`); the narrower word wins."""
    config, problems = defaults, tuple[Finding, ...]()
    if text := notes.get(ANNOTATION, "").strip():
        config, found = overlaid(defaults, text, ANNOTATION)
        path = f"metadata.annotations[{ANNOTATION}]"
        problems = tuple((f"{path}.{each.path}".rstrip("."), each.message) for each in found)
    drain = config.termination_drain_duration
    return Proxying(
        native=notes.get(NATIVE, "true").lower() != "false",
        hold=config.hold_application_until_proxy_starts is not False,
        interception=notes.get(MODE) or config.interception_mode,
        threads=config.concurrency or 0,
        drain_seconds=(seconds(drain) if drain else None) or DRAIN_SECONDS,
        wrong=problems,
    )
