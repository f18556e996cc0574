"""How a pod's proxy is to run: the mesh's defaults, over them ProxyConfigs and the pod's annotations. Read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE, DRAIN_SECONDS
from plait.inject import proxy_configs
from plait.resources.durations import seconds
from plait.resources.mesh_config.mesh import overlaid
from plait.resources.mesh_config.proxy import ProxyConfig
from plait.resources.networking import proxy_config
from plait.resources.redirection import MODE

ANNOTATION: Final = "proxy.istio.io/config"
NATIVE: Final = "sidecar.istio.io/nativeSidecar"
_NONE: Final[Mapping[str, str]] = {}
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
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of the proxy: what tags and modules may read."""
    wrong: tuple[Finding, ...] = ()


def proxying(
    notes: Mapping[str, str],
    defaults: ProxyConfig,
    objects: Iterable[proxy_config.ProxyConfig] = (),
    namespace: str = "",
    labels: Mapping[str, str] = _NONE,
    root_namespace: str = DEFAULT_ROOT_NAMESPACE,
) -> Proxying:
    """`defaults` are those of the mesh (`defaultConfig`), `objects` all that there are; the narrower word wins."""
    listed = tuple(objects)
    config, problems = defaults, tuple[Finding, ...]()
    for place in ("root", "namespace"):
        config = proxy_configs.overlaid(config, listed, place, namespace, labels, root_namespace)
    if text := notes.get(ANNOTATION, "").strip():
        wider = config.proxy_metadata
        config, found = overlaid(config, text, ANNOTATION)
        config = structs.replace(config, proxy_metadata={**wider, **config.proxy_metadata})
        path = f"metadata.annotations[{ANNOTATION}]"
        problems = tuple((f"{path}.{each.path}".rstrip("."), each.message) for each in found)
    config = proxy_configs.overlaid(config, listed, "workload", namespace, labels, root_namespace)
    drain = config.termination_drain_duration
    return Proxying(
        native=notes.get(NATIVE, "true").lower() != "false",
        hold=config.hold_application_until_proxy_starts is not False,
        interception=notes.get(MODE) or config.interception_mode,
        threads=config.concurrency or 0,
        drain_seconds=(seconds(drain) if drain else None) or DRAIN_SECONDS,
        environment=tuple(sorted(config.proxy_metadata.items())),
        wrong=problems,
    )
