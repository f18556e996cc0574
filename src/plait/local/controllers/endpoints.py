"""EndpointSlices and Endpoints of a Service with a selector: which pods answer for it, on which ports, how ready.

Named target ports are looked up in each pod (also in its restartable init containers), so pods of one Service may
listen on different ports: a slice per port set. Services without a selector are their author's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from plait.local.controllers import podset
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller, itself
from plait.local.controllers.writes import Create, Outcome, Patch, Write, remove
from plait.resources.kinds import ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE
from plait.store.api import Document
from plait.store.informer import Key

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
_MOST = 100  # endpoints of one slice
Ports = tuple[tuple[str, str, int, str], ...]  # name, protocol, port, appProtocol


def reconcile(
    service: Document, pods: Sequence[Document], slices: Sequence[Document], endpoints: Document | None
) -> list[Write]:
    """`pods`: those the selector chose. `slices`: of this service, by our label."""
    writes: list[Write] = []
    wanted = {document["metadata"]["name"]: document for document in desired_slices(service, pods)}
    for old in slices:
        new = wanted.pop(old["metadata"]["name"], None)
        if new is None:
            writes.append(remove(ENDPOINT_SLICE, old))
        else:
            writes += _changed(ENDPOINT_SLICE, old, new, ("endpoints", "ports"))
    writes += [Create(ENDPOINT_SLICE, new) for new in wanted.values()]
    legacy = desired_endpoints(service, pods)
    if endpoints is None:
        writes.append(Create(ENDPOINTS, legacy))
    else:
        writes += _changed(ENDPOINTS, endpoints, legacy, ("subsets",))
    return writes


def desired_slices(service: Document, pods: Sequence[Document]) -> list[Document]:
    """At least one slice a family, empty when no pod answers; endpoints in order of address."""
    groups: dict[tuple[str, Ports], list[Document]] = {}
    for family in _families(service):
        for pod in pods:
            if _counts(pod) and (address := _address(pod, family)):
                group = groups.setdefault((family, target_ports(service, pod)), [])
                group.append(_endpoint(service, pod, address))
        if not any(known == family for known, _ in groups):
            groups[family, ()] = []
    made = []
    for (family, ports), members in sorted(groups.items()):
        members.sort(key=lambda endpoint: int(ip_address(endpoint["addresses"][0])))
        for first in range(0, max(1, len(members)), _MOST):
            made.append(_slice(service, family, ports, members[first : first + _MOST], first // _MOST))
    return made


def target_ports(service: Document, pod: Document) -> Ports:
    """The service's ports as this pod serves them; a name the pod lacks is left out."""
    ports = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        number = _number(port.get("targetPort") or port["port"], protocol, pod)
        if number is not None:
            ports.append((port.get("name", ""), protocol, number, port.get("appProtocol", "")))
    return tuple(sorted(ports))


def _number(target: int | str, protocol: str, pod: Document) -> int | None:
    if isinstance(target, int):
        return target
    for container in _serving_containers(pod):
        for port in container.get("ports") or ():
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return int(target) if target.isdecimal() else None


def _serving_containers(pod: Document) -> Iterator[dict[str, Any]]:
    yield from pod["spec"].get("containers") or ()
    for container in pod["spec"].get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            yield container


def _families(service: Document) -> list[str]:
    return list(service["spec"].get("ipFamilies") or ["IPv4"])


def _address(pod: Document, family: str) -> str:
    status = pod.get("status") or {}
    addresses = [entry.get("ip", "") for entry in status.get("podIPs") or ()] or [status.get("podIP") or ""]
    return next((a for a in addresses if a and (":" in a) == (family == "IPv6")), "")


def _counts(pod: Document) -> bool:
    return podset.phase(pod) not in ("Succeeded", "Failed")


def _endpoint(service: Document, pod: Document, address: str) -> Document:
    ready, terminating = podset.is_ready(pod), podset.is_terminating(pod)
    announced = bool(service["spec"].get("publishNotReadyAddresses"))
    made: Document = {
        "addresses": [address],
        "conditions": {
            "ready": announced or (ready and not terminating),
            "serving": announced or ready,
            "terminating": terminating,
        },
        "targetRef": _reference(pod),
    }
    if node := pod["spec"].get("nodeName"):
        made["nodeName"] = node
    if hostname := _hostname(service, pod):
        made["hostname"] = hostname
    return made


def _hostname(service: Document, pod: Document) -> str:
    """A pod has a name of its own under the service that it says is its subdomain."""
    spec, metadata = pod["spec"], service["metadata"]
    return str(spec["hostname"]) if spec.get("hostname") and spec.get("subdomain") == metadata["name"] else ""


def _reference(pod: Document) -> Document:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def _is_headless(service: Document) -> bool:
    return service["spec"].get("clusterIP", "None") in ("None", "")


def _slice(service: Document, family: str, ports: Ports, members: list[Document], number: int) -> Document:
    metadata = service["metadata"]
    suffix = podset.digest([metadata["uid"], family, ports, number], 5)
    labels = {**(metadata.get("labels") or {}), SERVICE_NAME: metadata["name"], MANAGED_BY: MANAGER}
    if _is_headless(service):
        labels[HEADLESS] = ""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [podset.owner_reference(SERVICE, service)],
        },
        "addressType": family,
        "endpoints": members,
        "ports": [_slice_port(*port) for port in ports],
    }


def _slice_port(name: str, protocol: str, port: int, app_protocol: str) -> Document:
    made: Document = {"name": name, "protocol": protocol, "port": port}
    return {**made, "appProtocol": app_protocol} if app_protocol else made


def desired_endpoints(service: Document, pods: Sequence[Document]) -> Document:
    """The old form of the same facts; pods that are going away are not in it."""
    announced = bool(service["spec"].get("publishNotReadyAddresses"))
    subsets: dict[Ports, dict[str, list[Document]]] = {}
    for pod in sorted(pods, key=lambda p: (_address(p, "IPv4"), p["metadata"]["name"])):
        address = _address(pod, _families(service)[0])
        if not address or not _counts(pod) or (podset.is_terminating(pod) and not announced):
            continue
        entry: Document = {"ip": address, "targetRef": _reference(pod)}
        if node := pod["spec"].get("nodeName"):
            entry["nodeName"] = node
        if hostname := _hostname(service, pod):
            entry["hostname"] = hostname
        side = "addresses" if announced or podset.is_ready(pod) else "notReadyAddresses"
        subsets.setdefault(target_ports(service, pod), {}).setdefault(side, []).append(entry)
    metadata = service["metadata"]
    labels = dict(metadata.get("labels") or {})
    if _is_headless(service):
        labels[HEADLESS] = ""
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [podset.owner_reference(SERVICE, service)],
        },
        "subsets": [
            {**sides, **({"ports": [_named(_slice_port(*port)) for port in ports]} if ports else {})}
            for ports, sides in sorted(subsets.items())
        ],
    }


def _named(port: Document) -> Document:
    return port if port["name"] else {key: value for key, value in port.items() if key != "name"}


def _changed(kind: Any, old: Document, new: Document, parts: Sequence[str]) -> list[Write]:
    body: Document = {part: new[part] for part in parts if (old.get(part) or []) != new[part]}
    labels, wanted = old["metadata"].get("labels") or {}, new["metadata"]["labels"]
    if labels != wanted:
        body["metadata"] = {"labels": {**{key: None for key in labels if key not in wanted}, **wanted}}
    return [Patch(kind, old["metadata"]["namespace"], old["metadata"]["name"], body)] if body else []


def controller() -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        service = cluster[SERVICE].cache.get(key)
        if service is None or "deletionTimestamp" in service["metadata"] or not _selects(service):
            return Outcome()
        pods = [pod for pod in cluster.in_namespace(POD, key[0]) if _chosen(service, pod)]
        slices = [
            one
            for one in cluster.in_namespace(ENDPOINT_SLICE, key[0])
            if _service_of(one) == [key] and (one["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER
        ]
        return Outcome(tuple(reconcile(service, pods, slices, cluster[ENDPOINTS].cache.get(key))))

    # A pod wakes the services that chose it before or choose it now; which those are, only the cache knows.
    wakes = {SERVICE: itself, ENDPOINT_SLICE: _service_of, ENDPOINTS: itself}
    return Controller("endpoints", wakes, turn, wakes_in={POD: _services_of})


def _selects(service: Document) -> bool:
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def _chosen(service: Document, pod: Document) -> bool:
    selector: dict[str, str] = service["spec"]["selector"]
    return selector.items() <= (pod["metadata"].get("labels") or {}).items()


def _service_of(one: Document) -> list[Key]:
    name = (one["metadata"].get("labels") or {}).get(SERVICE_NAME)
    return [(one["metadata"]["namespace"], name)] if name else []


def _services_of(cluster: Cluster, pod: Document) -> list[Key]:
    namespace = pod["metadata"]["namespace"]
    services = cluster.in_namespace(SERVICE, namespace)
    return [(namespace, s["metadata"]["name"]) for s in services if _selects(s) and _chosen(s, pod)]
