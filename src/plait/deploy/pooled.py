"""What a managed waypoint has in the pool, and the slice by which the Service in its own namespace leads there.

Of what its namespace writes nothing gets into the pool but its name and labels that only its own policies look at: no
annotations, no patches of pods. A pod of the pool may read only the folder that its node's agent makes for it, so no
tenant meets another's configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plait.base.wellknown import (
    CANONICAL_NAME,
    CANONICAL_REVISION,
    CLAIMED,
    DATAPLANE_MODE,
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
    INJECT,
    MANAGED,
    POOL_NAMESPACE,
    SERVING,
    WARM,
    WARM_ACCOUNT,
)
from plait.deploy.operation import NODE_CLASS
from plait.deploy.plans import Plan
from plait.deploy.pool import Pool
from plait.model import pool as naming
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.proxy_container import SCRAPED, pod

Document = dict[str, Any]
CONTROLLER = "istio.io-mesh-controller"
"""Value of the label `gateway.istio.io/managed` of what runs as a waypoint."""
ALLOWED = ("service", "operation")
"""Keys of a ConfigMap of parameters that a managed waypoint may have: what is made in its own namespace."""


def refused(overlays: Mapping[str, object]) -> str:
    """Why these parameters are nothing for the pool; "" when they are."""
    found = [key for key in overlays if key not in ALLOWED]
    if not found:
        return ""
    return (
        f"parameters of the Gateway or its class: key {found[0]} would change what runs in the pool; "
        "drop it, or write plait.dev/placement: node"
    )


def documents(
    plan: Plan, labels: Mapping[str, str], folder: str, pool: Pool, claim: str = ""
) -> tuple[Document, Document]:
    """Account and Deployment. `labels` say what made them, and for which class. `claim` is the UID of a warm proxy that
    may use the account too: where it says so, no node can write."""
    name = naming.account(*plan.name)
    own = {GATEWAY_NAME: plan.gateway.name, GATEWAY_NAMESPACE: plan.gateway.namespace}
    known = {**labels, **own}
    template = {
        "metadata": {"labels": running(plan, labels), "annotations": dict(SCRAPED)},
        "spec": pod(name, folder, **_place(pool)),
    }
    deployment = _document(kinds.DEPLOYMENT, name, known)
    deployment["spec"] = {"selector": {"matchLabels": own}, "template": template}
    account = _document(kinds.SERVICE_ACCOUNT, name, known)
    if claim:
        account["metadata"]["annotations"] = {CLAIMED: claim}
    return account, deployment


def running(plan: Plan, labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of its pods."""
    return {
        **{name: value for name, value in plan.labels.items() if not _means_something(name)},
        INJECT: "false",
        DATAPLANE_MODE: "none",
        CANONICAL_NAME: plan.names.workload,
        CANONICAL_REVISION: "latest",
        **labels,
        GATEWAY_NAME: plan.gateway.name,
        GATEWAY_NAMESPACE: plan.gateway.namespace,
    }


def warm(folder: str, pool: Pool) -> tuple[Document, Document]:
    """Account and Deployment of proxies that run for nobody yet. A claimed one is ready when it was seen to serve; then
    it loses the label by which the Deployment knows it, so that another is made."""
    labels = {MANAGED: CONTROLLER, WARM: "true"}
    template = {
        "metadata": {"labels": {INJECT: "false", DATAPLANE_MODE: "none", **labels}, "annotations": dict(SCRAPED)},
        "spec": pod(WARM_ACCOUNT, folder, readinessGates=[{"conditionType": SERVING}], **_place(pool)),
    }
    deployment = _document(kinds.DEPLOYMENT, WARM_ACCOUNT, labels)
    deployment["spec"] = {"replicas": pool.warm, "selector": {"matchLabels": {WARM: "true"}}, "template": template}
    return _document(kinds.SERVICE_ACCOUNT, WARM_ACCOUNT, labels), deployment


def claimed(plan: Plan, labels: Mapping[str, str]) -> dict[str, str]:
    """Labels that make a warm proxy this waypoint's. It stays the Deployment's until it serves: another one would take
    its start time from it."""
    return {**running(plan, labels), CLAIMED: "true"}


def _means_something(label: str) -> bool:
    """To the mesh or to Kubernetes: such a label of a Gateway is not for the pool. Others are what policies select."""
    domain = label.rpartition("/")[0]
    return any(
        domain == known or domain.endswith(f".{known}")
        for known in ("istio.io", "plait.dev", "kubernetes.io", "k8s.io")
    )


def _document(kind: Kind, name: str, labels: Mapping[str, str]) -> Document:
    """Without an owner: that of something in another namespace is none to the garbage collector."""
    metadata = {"name": name, "namespace": POOL_NAMESPACE, "labels": dict(labels)}
    return {"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata}


def _place(pool: Pool) -> Document:
    if not pool.nodes:
        return {}
    chosen: Document = {"nodeSelector": dict(pool.nodes)}
    if (node_class := pool.nodes.get(NODE_CLASS)) is not None:
        chosen["tolerations"] = [{"key": NODE_CLASS, "operator": "Equal", "value": node_class}]
    return chosen


def endpoints(pods: Iterable[Document]) -> list[Document]:
    """Of an EndpointSlice, of all pods that have an address and have not ended."""
    found = []
    for each in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        metadata, status = each["metadata"], each.get("status") or {}
        if not status.get("podIP") or status.get("phase") in ("Succeeded", "Failed"):
            continue
        serving = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
        going = "deletionTimestamp" in metadata
        found.append(
            {
                "addresses": [status["podIP"]],
                "conditions": {"ready": serving and not going, "serving": serving, "terminating": going},
                "nodeName": each["spec"].get("nodeName", ""),
                "targetRef": {
                    "kind": "Pod",
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
            }
        )
    return found


def is_of(document: Document, name: tuple[str, str]) -> bool:
    """Is this object of the pool there for the Gateway `name`?"""
    return MANAGED in (document["metadata"].get("labels") or {}) and gateway(document) == name


def gateway(document: Document) -> tuple[str, str] | None:
    """The Gateway that an object of the pool is there for."""
    metadata = document["metadata"]
    labels = metadata.get("labels") or {}
    if metadata.get("namespace") != POOL_NAMESPACE or GATEWAY_NAMESPACE not in labels or GATEWAY_NAME not in labels:
        return None
    return labels[GATEWAY_NAMESPACE], labels[GATEWAY_NAME]
