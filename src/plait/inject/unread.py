"""What Istio's injector reads of a pod and this one does not: told as a warning with the way out, never a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from plait.inject.proxying import ANNOTATION
from plait.resources.mesh_config.mesh import overlaid
from plait.resources.mesh_config.proxy import ProxyConfig

Finding = tuple[str, str]
"""Path and message."""
_SIDECAR: Final = "sidecar.istio.io/"
_IMAGE: Final = "every proxy runs the mesh's own Envoy; remove it"
_STATISTICS: Final = "statistics are those of docs/fields/meshconfig.md; change them by a Telemetry"
_AGENT: Final = "the agent is its node's, and knows; remove it"
_INTERFACES: Final = "a pod has one interface, which is captured; remove it"
_ANNOTATIONS: Final = {
    f"{_SIDECAR}proxyImage": _IMAGE,
    f"{_SIDECAR}proxyImageType": _IMAGE,
    f"{_SIDECAR}bootstrapOverride": "write an EnvoyFilter for what it changes",
    f"{_SIDECAR}enableCoreDump": _IMAGE,
    f"{_SIDECAR}capNetBindService": "an application needs no help of its sidecar to listen; remove it",
    f"{_SIDECAR}statsInclusionPrefixes": _STATISTICS,
    f"{_SIDECAR}statsInclusionSuffixes": _STATISTICS,
    f"{_SIDECAR}statsInclusionRegexps": _STATISTICS,
    f"{_SIDECAR}statsHistogramBuckets": _STATISTICS,
    f"{_SIDECAR}statsHistogramBins": _STATISTICS,
    f"{_SIDECAR}statsFlushInterval": _STATISTICS,
    f"{_SIDECAR}statsEvictionInterval": _STATISTICS,
    f"{_SIDECAR}extraStatTags": _STATISTICS,
    f"{_SIDECAR}agentLogLevel": _AGENT,
    f"{_SIDECAR}discoveryAddress": _AGENT,
    "status.sidecar.istio.io/port": "the proxy answers at port 15021; remove it",
    "readiness.status.sidecar.istio.io/applicationPorts": "give the application a readinessProbe",
    "traffic.sidecar.istio.io/excludeInterfaces": _INTERFACES,
    "traffic.sidecar.istio.io/kubevirtInterfaces": _INTERFACES,
    "istio.io/reroute-virtual-interfaces": _INTERFACES,
}
_READ: Final = {
    *("concurrency", "holdApplicationUntilProxyStarts", "interceptionMode", "proxyMetadata"),
    "terminationDrainDuration",
}
"""Fields of ProxyConfig that a pod's annotation may say."""
_WIDER: Final = "in a pod's annotation; write it into defaultConfig of the mesh configuration, or a Telemetry"


def unread(notes: Mapping[str, str]) -> Iterator[Finding]:
    """The pod's annotations, and fields of its proxy.istio.io/config, that change nothing here."""
    for name, way_out in _ANNOTATIONS.items():
        if name in notes:
            yield f"metadata.annotations[{name}]", f"{name} has no effect here: {way_out}"
    said, _ = overlaid(ProxyConfig(), notes.get(ANNOTATION, ""), ANNOTATION)
    for field in msgspec.structs.fields(ProxyConfig):
        if getattr(said, field.name) != getattr(ProxyConfig(), field.name) and field.encode_name not in _READ:
            path = f"metadata.annotations[{ANNOTATION}].{field.encode_name}"
            yield path, f"{field.encode_name} has no effect {_WIDER}"
