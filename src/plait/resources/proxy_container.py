"""The container of an L7 proxy as a document: the same in a sidecar, a waypoint and a gateway.

It runs one Envoy and nothing else. What Envoy reads (program, bootstrap, the socket of its configuration) lies in a
folder that the node's agent fills before the container starts and that only this pod sees: the folder is the
credential, so a proxy needs no token of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from plait.base.wellknown import (
    DRAIN_SECONDS,
    METRICS_PORT,
    PROXY_CONTAINER,
    PROXY_DIRECTORY,
    PROXY_IMAGE,
    PROXY_UID,
    PROXY_VOLUME,
    READY_PORT,
)

Document = dict[str, Any]
LOG_LEVEL: Final = "warning"
COMPONENT_LOG_LEVEL: Final = "misc:error"  # else it warns of deprecated fields with every configuration, as in Istio
SCRAPED: Final = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": str(METRICS_PORT),
    "prometheus.io/path": "/stats/prometheus",
}
"""Annotations by which a Prometheus of the usual configuration finds the proxy's numbers."""


def container(
    *,
    resources: Mapping[str, Any] | None = None,
    low_ports: bool = False,
    transparent: bool = False,
    threads: int = 0,
    environment: Iterable[tuple[str, str]] = (),
    drain_seconds: float = DRAIN_SECONDS,
    log_levels: tuple[str, str] = ("", ""),
) -> Document:
    """The container; `low_ports` lets it listen below 1024 (gateways). `log_levels`: of Envoy, and of its components.

    `transparent` lets it speak from its clients' addresses. Only root gets that right from Kubernetes; with no other
    capability root is little more. Capture rules know such a proxy by its group.
    """
    capabilities: Document = {"drop": ["ALL"]}
    if low_ports:
        capabilities["add"] = ["NET_BIND_SERVICE"]
    if transparent:
        capabilities["add"] = ["NET_ADMIN"]
    return {
        "name": PROXY_CONTAINER,
        "image": PROXY_IMAGE,
        **({"args": arguments} if (arguments := _arguments(threads, *log_levels)) else {}),
        "env": [
            {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            *({"name": name, "value": value} for name, value in environment if name != "POD_UID"),
        ],
        "ports": [{"name": "status-port", "containerPort": READY_PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/healthz/ready", "port": READY_PORT},
            "periodSeconds": 1,
            # A proxy on a busy machine that answers late serves on; one that has ended is not ready at once anyway.
            "timeoutSeconds": 3,
            "failureThreshold": 4,
        },
        # The agent drains the listeners when the pod is being deleted; Envoy itself would end at once.
        "lifecycle": {"preStop": {"sleep": {"seconds": math.ceil(drain_seconds)}}},
        **({"resources": dict(resources)} if resources else {}),
        "securityContext": {
            "runAsUser": 0 if transparent else PROXY_UID,
            "runAsGroup": PROXY_UID,
            "runAsNonRoot": not transparent,  # the pod may say true of all its containers
            "allowPrivilegeEscalation": low_ports or transparent,
            "capabilities": capabilities,
        },
        "volumeMounts": [{"name": PROXY_VOLUME, "mountPath": PROXY_DIRECTORY, "subPathExpr": "$(POD_UID)"}],
    }


def _arguments(threads: int, level: str, components: str) -> list[str]:
    """What is said to Envoy beside its image's own words; none of it is what the image says anyway."""
    if not threads and not level and not components:
        return []
    return [
        *(("--concurrency", str(threads)) if threads else ()),
        *("--log-level", level or LOG_LEVEL),
        *("--component-log-level", components or COMPONENT_LOG_LEVEL),
    ]


def pod(
    account: str, folder: str, *, low_ports: bool = False, resources: Document | None = None, **more: Any
) -> Document:
    """The spec of a pod that is such a proxy and nothing else; `more` says where it may run."""
    return {
        "serviceAccountName": account,
        # The node's agent speaks for it: a token would be one more thing to steal, and to wait for.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container(resources=resources, low_ports=low_ports)],
        "volumes": [volume(folder)],
        **more,
    }


def volume(folder: str) -> Document:
    """The volume of the container's mount; `folder` holds the folders of all proxies of a node."""
    return {"name": PROXY_VOLUME, "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}
