"""Plan -> the documents that should exist for it: ServiceAccount, Service, Deployment, and what an overlay adds.

Each is owned by its Gateway, so the garbage collector removes what a deleted Gateway leaves. `replicas` is not said
unless an overlay says it: whoever scales has the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Final

from plait.base.wellknown import (
    ACTIVATOR,
    CANONICAL_NAME,
    CANONICAL_REVISION,
    DATAPLANE_MODE,
    GATEWAY_ACCOUNT,
    GATEWAY_NAME,
    GATEWAY_NAME_OVERRIDE,
    HBONE_PORT,
    INJECT,
    MANAGED,
    MANAGED_SLICE,
    PLACEMENT,
    POOL,
    READY_PORT,
)
from plait.deploy import pooled
from plait.deploy.operation import ANNOTATIONS, NODE_CLASS, Operation
from plait.deploy.plans import Plan
from plait.deploy.pool import Pool
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.proxy_container import SCRAPED, pod

Document = dict[str, Any]
Merge = Callable[[Kind, Document, Document], Document]
"""(kind, document, strategic merge patch) -> document."""
GATEWAY_CLASS_NAME: Final = "gateway.networking.k8s.io/gateway-class-name"
CONTROLLERS: Final = {"waypoint": pooled.CONTROLLER, "gateway": "istio.io-gateway-controller"}
"""Values of the label `gateway.istio.io/managed`; tools look for Istio's, so every class has these."""
AUTOSCALER = Kind("autoscaling", ("v2",), "HorizontalPodAutoscaler", "horizontalpodautoscalers")
BUDGET = Kind("policy", ("v1",), "PodDisruptionBudget", "poddisruptionbudgets")
KEYS: Final[Mapping[str, Kind]] = {
    "serviceAccount": kinds.SERVICE_ACCOUNT,
    "service": kinds.SERVICE,
    "deployment": kinds.DEPLOYMENT,
    "horizontalPodAutoscaler": AUTOSCALER,
    "podDisruptionBudget": BUDGET,
}
"""What a ConfigMap of parameters may change, by its keys."""
STATUS_PORT: Final = "networking.istio.io/service-expose-status-port"
SERVICE_NAME: Final = "kubernetes.io/service-name"
_USUAL = Operation()
_ANYWHERE = Pool()
_NOT_PASSED_ON = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        GATEWAY_NAME_OVERRIDE,
        GATEWAY_ACCOUNT,
        "gateway.istio.io/controller-version",
    }
)
_PORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_RESOURCES = {
    "sidecar.istio.io/proxyCPU": ("requests", "cpu"),
    "sidecar.istio.io/proxyMemory": ("requests", "memory"),
    "sidecar.istio.io/proxyCPULimit": ("limits", "cpu"),
    "sidecar.istio.io/proxyMemoryLimit": ("limits", "memory"),
}


def desired(
    plan: Plan,
    folder: str,
    overlays: Mapping[str, Sequence[Document]],
    merge: Merge,
    operation: Operation = _USUAL,
    activator: tuple[str, int] | None = None,
    pool: Pool = _ANYWHERE,
    pods: Iterable[Document] = (),
    claim: str = "",
) -> tuple[Document, ...]:
    """In the order in which they are to be made; none for a Gateway that somebody else deploys.

    `folder` holds the folders of the proxies of a node. `overlays` are strategic merge patches by the keys of `KEYS`,
    merged one after the other.
    `activator`: where connections are held while no proxy runs. `pods`: those that a managed one has in the `pool`;
    `claim`: the UID of a warm one among them.
    """
    if not plan.managed:
        return ()
    service = {**_document(kinds.SERVICE, plan, plan.names.workload), "spec": _service(plan)}
    held = (_held(plan, activator, operation),) if activator is not None else ()
    if operation.placement == "managed":
        service = _overlaid(kinds.SERVICE, service, overlays.get("service", ()), merge)
        return *pooled.documents(plan, made_by(plan), folder, pool, claim), service, pool_slice(plan, pods), *held
    made = {
        "serviceAccount": _document(kinds.SERVICE_ACCOUNT, plan, plan.names.account),
        "service": service,
        "deployment": {
            **_document(kinds.DEPLOYMENT, plan, plan.names.workload),
            "spec": _deployment(plan, folder, operation),
        },
    }
    if "horizontalPodAutoscaler" in overlays:
        made["horizontalPodAutoscaler"] = {
            **_document(AUTOSCALER, plan, plan.names.workload),
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.names.workload}},
        }
    if "podDisruptionBudget" in overlays:
        selector = {"matchLabels": {GATEWAY_NAME: plan.gateway.name}}
        made["podDisruptionBudget"] = {**_document(BUDGET, plan, plan.names.workload), "spec": {"selector": selector}}
    documents = {key: _overlaid(KEYS[key], each, overlays.get(key, ()), merge) for key, each in made.items()}
    _identify(documents["deployment"], made["deployment"])
    return (*documents.values(), *held)


def _identify(deployment: Document, own: Document) -> None:
    """Whatever an overlay says: pods are found by their labels and known by their account, in policies too."""
    wanted = own["spec"]["template"]
    spec = deployment.get("spec") or {}
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    kept = {name: wanted["metadata"]["labels"][name] for name in (GATEWAY_NAME, MANAGED)}
    pod = {**(template.get("spec") or {}), "serviceAccountName": wanted["spec"]["serviceAccountName"]}
    labelled = {**metadata, "labels": {**(metadata.get("labels") or {}), **kept}}
    identified = {**template, "metadata": labelled, "spec": pod}
    deployment["spec"] = {**spec, "selector": own["spec"]["selector"], "template": identified}


def _overlaid(kind: Kind, document: Document, overlays: Sequence[Document], merge: Merge) -> Document:
    """An overlay changes anything but who the object is and whose."""
    if not overlays:
        return document
    merged = reduce(lambda found, overlay: merge(kind, found, overlay), overlays, document)
    own = document["metadata"]
    kept = {name: own[name] for name in ("name", "namespace", "ownerReferences")}
    changed = merged.get("metadata") or {}
    labels = {**(changed.get("labels") or {}), MANAGED: own["labels"][MANAGED]}
    metadata = {**changed, **kept, "labels": labels}
    return {**merged, "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata}


def _document(kind: Kind, plan: Plan, name: str) -> Document:
    meta = plan.gateway.meta
    owner = {
        "apiVersion": kinds.GATEWAY.api_version(),
        "kind": kinds.GATEWAY.kind,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
    }
    metadata: Document = {"name": name, "namespace": meta.namespace, "labels": _labels(plan)}
    if annotations := _annotations(plan):
        metadata["annotations"] = annotations
    return {
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "metadata": {**metadata, "ownerReferences": [owner]},
    }


def _labels(plan: Plan) -> dict[str, str]:
    return {**plan.labels, GATEWAY_NAME: plan.gateway.name, **made_by(plan)}


def made_by(plan: Plan) -> dict[str, str]:
    """For which class, and by whom."""
    return {GATEWAY_CLASS_NAME: plan.gateway.spec.gateway_class_name, MANAGED: CONTROLLERS[plan.runs]}


def _annotations(plan: Plan) -> dict[str, str]:
    """How they are operated stays with the Gateway: in a pod's template it would start all proxies again."""
    return {name: value for name, value in plan.annotations.items() if name not in _NOT_PASSED_ON | ANNOTATIONS}


def _deployment(plan: Plan, folder: str, operation: Operation) -> Document:
    # A proxy is no client of the mesh: it is neither captured nor given a sidecar, unless its labels ask for it.
    defaults = {
        INJECT: "false",
        DATAPLANE_MODE: "none",
        CANONICAL_NAME: plan.names.workload,
        CANONICAL_REVISION: "latest",
    }
    metadata: Document = {
        "labels": {**defaults, **_labels(plan)},
        "annotations": {**SCRAPED, **_annotations(plan)},
    }
    resources = _resources(plan.annotations)
    spec = pod(plan.names.account, folder, low_ports=not plan.waypoint, resources=resources, **_place(operation))
    return {
        "selector": {"matchLabels": {GATEWAY_NAME: plan.gateway.name}},
        "template": {"metadata": metadata, "spec": spec},
    }


def _place(operation: Operation) -> Document:
    """Nodes of a class may be kept for such proxies by a taint of the same name."""
    if operation.placement != "serverless":
        return {}
    return {
        "nodeSelector": {NODE_CLASS: operation.node_class},
        "tolerations": [{"key": NODE_CLASS, "operator": "Equal", "value": operation.node_class}],
    }


def _held(plan: Plan, activator: tuple[str, int], operation: Operation) -> Document:
    """The slice of the activator, beside that of the pods."""
    address, port = activator
    document = _slice(plan, ACTIVATOR, [{"addresses": [address], "conditions": {"ready": True}}])
    known = {GATEWAY_ACCOUNT: plan.names.account}
    if operation.placement == "managed":
        known = {PLACEMENT: "managed"}
    metadata = document["metadata"]
    names = [each["name"] for each in _ports(plan) if each["port"] == HBONE_PORT]
    return {
        **document,
        "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **known}},
        "ports": [{"name": name, "port": port, "protocol": "TCP"} for name in names],
    }


def pool_slice(plan: Plan, pods: Iterable[Document]) -> Document:
    """The slice of the proxies in the pool: the Service's selector finds none of another namespace."""
    ports = [{key: each[key] for key in ("name", "port", "protocol")} for each in _ports(plan)]
    return {**_slice(plan, POOL, pooled.endpoints(pods)), "ports": ports}


def _slice(plan: Plan, by: str, endpoints: list[Document]) -> Document:
    document = _document(kinds.ENDPOINT_SLICE, plan, f"{plan.names.workload}-{by.removeprefix('plait-')}")
    metadata = document["metadata"]
    labels = {**metadata["labels"], SERVICE_NAME: plan.names.workload, MANAGED_SLICE: by}
    return {
        **document,
        "metadata": {**metadata, "labels": labels},
        "addressType": "IPv6" if any(":" in each["addresses"][0] for each in endpoints) else "IPv4",
        "endpoints": endpoints,
    }


def _resources(annotations: Mapping[str, str]) -> Document:
    found: Document = {}
    for annotation, (group, name) in _RESOURCES.items():
        if value := annotations.get(annotation):
            found.setdefault(group, {})[name] = value
    return found


def _service(plan: Plan) -> Document:
    spec: Document = {
        "type": plan.service_type,
        "selector": {GATEWAY_NAME: plan.gateway.name},
        "ports": _ports(plan),
    }
    if not plan.waypoint:
        spec["ipFamilyPolicy"] = "PreferDualStack"  # whoever comes to the edge may have either family
    if plan.asked and plan.service_type == "LoadBalancer":
        spec["loadBalancerIP"] = plan.asked[0]
    return spec


def _ports(plan: Plan) -> list[Document]:
    """One for each port of the listeners, and the one that says whether the proxy is ready, unless that is unwanted."""
    found = {READY_PORT: _port("status-port", READY_PORT, "tcp")}
    if plan.said(STATUS_PORT) == "false":
        found = {}
    taken = {"status-port"}
    for each in plan.listeners:
        if each.port in found or each.protocol == "UDP":
            continue
        protocol = each.protocol.rpartition("/")[2].lower()
        fits = _PORT_NAME.match(each.name) is not None and each.name not in taken
        name = each.name if fits else f"{protocol}-{each.port}"
        taken.add(name)
        found[each.port] = _port(name, each.port, protocol)
    return list(found.values())


def _port(name: str, port: int, protocol: str) -> Document:
    return {"name": name, "port": port, "protocol": "TCP", "appProtocol": protocol}
