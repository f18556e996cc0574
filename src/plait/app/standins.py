"""Who answers for what is not running: one pod for a Deployment, a proxy for a Gateway, addresses for Services.

Offline there is no controller and no allocator, so what they would make is made here, and every piece is told as an
info problem. Addresses are invented; names, labels and accounts are those a controller would choose. No IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

import msgspec

from plait.base.wellknown import GATEWAY_NAMESPACE, HBONE_PORT, SIDECAR_STATUS
from plait.model.compile.traffic.instances import GATEWAY_NAME
from plait.model.gateways import Gateway, names
from plait.resources import codes, kinds
from plait.resources.decode import decode
from plait.resources.kubernetes import Pod, Service
from plait.resources.objects import Objects
from plait.resources.problems import Problem

Document = dict[str, Any]
Name = tuple[str, str]
NODE = "offline"
"""Of pods that run nowhere, when the proxy of their node is asked for."""


class Addresses:
    """Invented addresses, none of which is taken."""

    def __init__(self, first: str, taken: Iterable[str]) -> None:
        self._next, self._taken = ip_address(first), frozenset(taken)

    def one(self) -> str:
        while str(self._next) in self._taken:
            self._next += 1
        found, self._next = str(self._next), self._next + 1
        return found


class Standins:
    """Makes them; `problems` says for whom."""

    def __init__(self, objects: Objects) -> None:
        pods, services = objects.all(Pod).values(), objects.all(Service).values()
        self.problems: list[Problem] = []
        self._pods = Addresses("10.0.0.1", (address for pod in pods for address in pod.addresses))
        self._services = Addresses("10.96.0.1", (s.spec.cluster_ip for s in services))

    def deployment(self, document: Document) -> Pod | None:
        """One pod of its template; None when the template is no template."""
        namespace, name = named(document)
        template = part(document, "spec", "template")
        address = self._pods.one()
        pod, _ = decode(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "labels": part(template, "metadata", "labels"),
                    "annotations": part(template, "metadata", "annotations"),
                    "name": f"{name}-offline",
                    "namespace": namespace,
                    "ownerReferences": [
                        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "", "controller": True}
                    ],
                },
                "spec": part(template, "spec"),
                "status": {"podIP": address},
            }
        )
        if not isinstance(pod, Pod):
            return None
        self._say("Deployment", namespace, name, "spec.template", f"pod {pod.name} with address {address}")
        return pod

    def gateway(self, gateway: Gateway, annotations: Mapping[str, str], labels: Mapping[str, str]) -> Pod:
        """A pod as the controller of the Gateway would run it; of an Istio Gateway, one that its selector takes."""
        address = self._pods.one()
        if gateway.managed:
            name, account = names(gateway.name, gateway.class_name, gateway.waypoint, annotations)
            own = {**labels, GATEWAY_NAME: gateway.name}
            if gateway.account_namespace:  # it is managed: of what its namespace says only the name gets there
                name = account = gateway.service_account
                own = {GATEWAY_NAME: gateway.name, GATEWAY_NAMESPACE: gateway.namespace}
        else:
            name, account, own = gateway.name, "default", dict(gateway.selector)
        elsewhere = gateway.account_namespace if gateway.managed else gateway.selector_namespace
        namespace = elsewhere or gateway.namespace
        metadata = {"name": f"{name}-offline", "namespace": namespace, "labels": own}
        spec = {"serviceAccountName": account}
        status = {"podIP": address}
        pod, wrong = decode({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
        assert isinstance(pod, Pod), wrong
        text = f"pod {pod.name} with address {address} and service account {account}"
        self._say("Gateway", gateway.namespace, gateway.name, "spec", text)
        return pod

    def service(self, gateway: Gateway) -> Service:
        """The Service that the controller of the Gateway would give it."""
        address, labels = self._services.one(), {GATEWAY_NAME: gateway.name}
        metadata = {"name": gateway.name, "namespace": gateway.namespace, "labels": labels}
        spec = {"clusterIP": address, "selector": labels, "ports": [{"name": "hbone", "port": HBONE_PORT}]}
        service, wrong = decode({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        assert isinstance(service, Service), wrong
        self._say("Gateway", gateway.namespace, gateway.name, "spec", f"a Service with address {address}")
        return service

    def addressed(self, pod: Pod) -> Pod:
        """The pod, with an address when it has none."""
        if pod.addresses:
            return pod
        address = self._pods.one()
        self._say("Pod", pod.namespace, pod.name, "status.podIP", f"address {address}")
        return msgspec.structs.replace(pod, status=msgspec.structs.replace(pod.status, pod_ip=address))

    def services(self, found: Iterable[Service]) -> Iterator[Service]:
        """Services that the API server would give an address."""
        for each in sorted(found, key=lambda s: s.ident):
            if each.spec.cluster_ip or each.spec.cluster_ips or each.spec.type == "ExternalName":
                continue
            address = self._services.one()
            self._say("Service", each.namespace, each.name, "spec.clusterIP", f"address {address}")
            yield msgspec.structs.replace(each, spec=msgspec.structs.replace(each.spec, cluster_ip=address))

    def _say(self, kind: str, namespace: str, name: str, path: str, what: str) -> None:
        text = f"nothing of it runs offline, so {what} is assumed; give the running object to see its own"
        self.problems.append(Problem(codes.ASSUMED, "info", kind, namespace, name, path, text))


def deployments(documents: Iterable[Document]) -> dict[Name, Document]:
    """Every Deployment by namespace and name."""
    return {named(each): each for each in documents if kinds.by_document(each) == kinds.DEPLOYMENT and named(each)[1]}


def pods_of(deployment: Document, objects: Objects) -> list[Pod]:
    """Pods its selector takes, by name."""
    wanted, (namespace, _) = part(deployment, "spec", "selector", "matchLabels"), named(deployment)
    found = (pod for pod in objects.all(Pod).values() if pod.namespace == namespace)
    return sorted((pod for pod in found if wanted and wanted.items() <= pod.meta.labels.items()), key=lambda p: p.name)


def with_sidecar(pod: Pod) -> Pod:
    """As injection would leave it."""
    annotations = {SIDECAR_STATUS: "{}", **pod.meta.annotations}
    return msgspec.structs.replace(pod, meta=msgspec.structs.replace(pod.meta, annotations=annotations))


def named(document: Document) -> Name:
    metadata = part(document, "metadata")
    return str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")


def part(document: Any, *path: str) -> Document:
    """What stands there, when it is a mapping."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}
