"""Pods and WorkloadEntries -> Instance: labels for subsets, the mode they are in; and what each demands of clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from plait.base.wellknown import REDIRECTION, TLS_MODE
from plait.model import pool
from plait.model.attachment import labels_of
from plait.model.http_services import Instance
from plait.model.l7 import MtlsMode, PeerMode
from plait.model.mesh import Settings
from plait.model.modes import Mode
from plait.resources import redirection
from plait.resources.injection import has_sidecar
from plait.resources.kubernetes import Pod
from plait.resources.networking.service_entry import ServiceEntry
from plait.resources.networking.workload import WorkloadEntry
from plait.resources.security import PeerAuthentication

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"


def pod(each: Pod, settings: Settings) -> Instance | None:
    """None of one that has no address yet, or has ended."""
    if not each.addresses or each.status.phase in ("Succeeded", "Failed"):
        return None
    return _pod(each, settings)


def entries(found: Iterable[WorkloadEntry], outside: Iterable[ServiceEntry], settings: Settings) -> Iterator[Instance]:
    """Workloads outside Kubernetes: with a sidecar where there is a service account, unless a label says otherwise."""
    base = f"{settings.cluster_id}/networking.istio.io"
    for each in found:
        labels = {**each.meta.labels, **each.spec.labels}
        uid = f"{base}/WorkloadEntry/{each.namespace}/{each.name}"
        yield Instance(uid, labels_of(labels), _outside(labels, each.spec.service_account))
    for entry in outside:
        for endpoint in entry.spec.endpoints:
            uid = f"{base}/ServiceEntry/{entry.namespace}/{entry.name}/{endpoint.address}"
            labels = endpoint.labels
            yield Instance(uid, labels_of(labels), _outside(labels, endpoint.service_account))


def _outside(labels: Mapping[str, str], account: str) -> Mode:
    return "sidecar" if (labels.get(TLS_MODE) or (account and "istio")) == "istio" else "none"


def _pod(pod: Pod, settings: Settings) -> Instance:
    labels, annotations = pod.meta.labels, pod.meta.annotations
    # An injected gateway listens as its Gateways say, in the clear too: nothing in it answers mutual TLS by itself.
    sidecar = has_sidecar(annotations)
    mode: Mode = "sidecar" if sidecar else "ambient" if annotations.get(REDIRECTION) == "enabled" else "none"
    containers = (*pod.spec.containers, *pod.spec.init_containers)
    return Instance(
        uid=f"{settings.cluster_id}//Pod/{pod.namespace}/{pod.name}",
        labels=labels_of(labels),
        mode=mode,
        gateway=pool.gateway_of(pod.namespace, labels, pod.spec.service_account_name or "default"),
        ports=tuple((p.name, p.container_port) for c in containers for p in c.ports if p.name),
        plaintext=sidecar and (labels.get(TLS_MODE) or "istio") != "istio",
        transparent=sidecar and annotations.get(redirection.MODE) == "TPROXY",
        uncaptured=sidecar and annotations.get(redirection.MODE) == "NONE",
    )


class Demands:
    """PeerAuthentication with all its modes: workload over namespace over mesh; the oldest of equals counts."""

    def __init__(self, found: Iterable[PeerAuthentication], settings: Settings) -> None:
        self._root = settings.root_namespace
        self._wide: dict[str, PeerAuthentication] = {}
        self._selecting: dict[str, list[PeerAuthentication]] = {}
        for each in sorted(found, key=lambda p: (p.meta.creation_timestamp or "", p.namespace, p.name)):
            if each.spec.selector is not None and each.spec.selector.match_labels:
                if each.namespace == settings.root_namespace:
                    continue  # binds nobody: `compile.authentication` says so
                self._selecting.setdefault(each.namespace, []).append(each)
            else:
                self._wide.setdefault(each.namespace, each)

    def of(self, namespace: str, labels: Mapping[str, str]) -> PeerMode:
        own = next((p for p in self._selecting.get(namespace, ()) if _fits(p, labels)), None)
        mode = self._mode(namespace, own)
        ports: list[tuple[int, MtlsMode]] = []
        for port, mtls in own.spec.port_level_mtls.items() if own is not None else ():
            if port.isdigit() and mtls.mode != "UNSET":
                ports.append((int(port), _word(mtls.mode)))
        return PeerMode(mode, tuple(sorted(ports)))

    def _mode(self, namespace: str, own: PeerAuthentication | None) -> MtlsMode:
        for each in (own, self._wide.get(namespace), self._wide.get(self._root)):
            if each is not None and each.spec.mtls is not None and each.spec.mtls.mode != "UNSET":
                return _word(each.spec.mtls.mode)
        return "permissive"


def _fits(each: PeerAuthentication, labels: Mapping[str, str]) -> bool:
    return each.spec.selector is not None and each.spec.selector.match_labels.items() <= labels.items()


def _word(mode: str) -> MtlsMode:
    return "strict" if mode == "STRICT" else "disable" if mode == "DISABLE" else "permissive"
