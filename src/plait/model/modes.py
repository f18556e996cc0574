"""Which mode a pod is wanted in: the one decision that compile and the node agent share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from plait.base.wellknown import DATAPLANE_MODE, SIDECAR_STATUS

Mode = Literal["none", "ambient", "sidecar"]


def wanted_mode(
    pod_labels: Mapping[str, str],
    pod_annotations: Mapping[str, str],
    namespace_labels: Mapping[str, str],
    host_network: bool,
) -> Mode:
    """The pod's own label wins over its namespace's; pods with a sidecar or the host's network are never ambient."""
    if SIDECAR_STATUS in pod_annotations:
        return "sidecar"
    if host_network:
        return "none"
    chosen = pod_labels.get(DATAPLANE_MODE, namespace_labels.get(DATAPLANE_MODE, ""))
    return "ambient" if chosen == "ambient" else "none"
