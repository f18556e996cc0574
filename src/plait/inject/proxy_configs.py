"""ProxyConfig objects: which bind a pod, and what they make of the settings of its proxy.

As with Istio: what a selector chooses wins over the pod's annotation, that over the namespace's object, that over the
root namespace's, that over the mesh's `defaultConfig`. Of several at one place the oldest wins, field by field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import structs

from plait.resources.mesh_config import proxy as mesh
from plait.resources.networking.proxy_config import ProxyConfig

Place = Literal["root", "namespace", "workload"]


def overlaid(
    base: mesh.ProxyConfig,
    found: Iterable[ProxyConfig],
    place: Place,
    namespace: str,
    labels: Mapping[str, str],
    root_namespace: str,
) -> mesh.ProxyConfig:
    """`base` with what the objects at one place say instead."""
    chosen = (each for each in found if _place(each, namespace, labels, root_namespace) == place)
    for each in sorted(chosen, key=lambda e: (e.meta.creation_timestamp or "", e.name), reverse=True):
        spec = each.spec
        if spec.concurrency is not None:
            base = structs.replace(base, concurrency=spec.concurrency)
        if spec.environment_variables:
            base = structs.replace(base, proxy_metadata={**base.proxy_metadata, **spec.environment_variables})
    return base


def _place(each: ProxyConfig, namespace: str, labels: Mapping[str, str], root_namespace: str) -> Place | None:
    """At which place it binds the pod; None: it does not."""
    wanted = each.spec.selector.match_labels if each.spec.selector is not None else {}
    if wanted:
        binds = each.namespace == namespace and wanted.items() <= labels.items()
        return "workload" if binds else None
    if each.namespace == root_namespace:
        return "root"
    return "namespace" if each.namespace == namespace else None
