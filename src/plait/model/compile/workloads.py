"""Pod -> Workload: who it is, whether it speaks HBONE, which services it backs, which policies are attached to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address

from plait.base.wellknown import CANONICAL_NAME, CANONICAL_REVISION, REDIRECTION, TUNNEL_LABEL, WORKLOAD_NAME
from plait.model import pool
from plait.model.compile.authentication import Authentication
from plait.model.compile.memory import Ask, Memory
from plait.model.compile.services import Selection
from plait.model.mesh import Locality, Membership, Settings, Workload, WorkloadType
from plait.resources.kubernetes import Node, Pod

Name = tuple[str, str]
Selecting = Callable[[str, Mapping[str, str]], Iterable[str]]
"""(namespace, labels) -> names of the authorization policies that select them."""


class Attached:
    """All policies a workload must name: selecting authorization policies and converted peer authentication."""

    def __init__(self, selecting: Selecting, authenticated: Authentication) -> None:
        self._selecting, self._authenticated = selecting, authenticated

    def to(self, namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(sorted({*self._selecting(namespace, labels), *self._authenticated.attached(namespace, labels)}))


def pods(
    found: Mapping[Name, Pod],
    nodes: Mapping[Name, Node],
    chosen: Selection,
    attached: Attached,
    settings: Settings,
    memory: Memory,
    around: object,
) -> Mapping[Name, Workload | None]:
    """Every pod; None of those that have no address yet, or have ended. `around` is another object when anything that
    `attached` was made of has changed."""

    def workload(_: Name, pod: Pod, ask: Ask) -> Workload | None:
        if pod.status.phase in ("Succeeded", "Failed") or not pod.addresses:
            return None
        account = pod.spec.service_account_name or "default"
        policies = attached.to(pool.serves(pod.namespace, pod.meta.labels, account), pod.meta.labels)
        node: Node | None = ask("nodes", ("", pod.spec.node_name))
        locality = _locality(node.meta.labels) if node is not None else None
        return _workload(pod, chosen.memberships(pod, ask), policies, locality, settings)

    return memory.asking("pods", found, workload, {**chosen.tables, "nodes": nodes}, around)


def found(_: Name, each: Workload | None) -> Iterator[tuple[str, Workload]]:
    if each is not None:
        yield each.uid, each


def canonical(labels: Mapping[str, str], fallback: str) -> tuple[str, str]:
    """Canonical service name and revision, by the labels Istio looks at, in its order."""
    name = labels.get(CANONICAL_NAME) or labels.get("app.kubernetes.io/name") or labels.get("app") or fallback
    revision = labels.get(CANONICAL_REVISION) or labels.get("app.kubernetes.io/version") or labels.get("version")
    return name, revision or "latest"


def _workload(
    pod: Pod, members: tuple[Membership, ...], policies: tuple[str, ...], locality: Locality | None, settings: Settings
) -> Workload:
    name, kind = controller(pod)
    labels = pod.meta.labels
    service, revision = canonical(labels, name)
    native = labels.get(TUNNEL_LABEL) == "http"
    captured = pod.meta.annotations.get(REDIRECTION) == "enabled"
    healthy = pod.ready and pod.status.phase == "Running" and pod.meta.deletion_timestamp is None
    return Workload(
        uid=f"{settings.cluster_id}//Pod/{pod.namespace}/{pod.name}",
        name=pod.name,
        namespace=pod.namespace,
        addresses=tuple(_addresses(pod)),
        network=settings.network,
        tunnel="hbone" if (captured or native) and not pod.spec.host_network else "none",
        trust_domain=settings.trust_domain,
        service_account=pool.identity(pod.namespace, labels, pod.spec.service_account_name or "default"),
        node=pod.spec.node_name,
        workload_name=name,
        workload_type=kind,
        canonical_name=service,
        canonical_revision=revision,
        status="healthy" if healthy else "unhealthy",
        services=members,
        policies=policies,
        cluster_id=settings.cluster_id,
        native_tunnel=native,
        locality=locality,
        host_network=pod.spec.host_network,
    )


def _addresses(pod: Pod) -> Iterator[str]:
    for address in pod.addresses:
        try:
            yield str(ip_address(address))
        except ValueError:
            continue


def controller(pod: Pod) -> tuple[str, WorkloadType]:
    """Name and kind of the workload that a pod belongs to, as telemetry calls them; a label may name it."""
    name, kind = _owner(pod)
    return pod.meta.labels.get(WORKLOAD_NAME) or name, kind


def _owner(pod: Pod) -> tuple[str, WorkloadType]:
    owner = next((o for o in pod.meta.owner_references if o.controller), None)
    if owner is None:
        return pod.name, "pod"
    if owner.kind == "ReplicaSet":
        suffix = "-" + pod.meta.labels.get("pod-template-hash", "")
        return owner.name.removesuffix(suffix) if len(suffix) > 1 else owner.name, "deployment"
    if owner.kind == "Job":
        base, _, stamp = owner.name.rpartition("-")
        return (base, "cronjob") if stamp.isdigit() and len(stamp) >= 8 else (owner.name, "job")
    return owner.name, "deployment"


def _locality(labels: Mapping[str, str]) -> Locality | None:
    region = labels.get("topology.kubernetes.io/region", "")
    zone = labels.get("topology.kubernetes.io/zone", "")
    subzone = labels.get("topology.istio.io/subzone", "")
    return Locality(region, zone, subzone) if region or zone or subzone else None
