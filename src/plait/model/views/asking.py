"""proxy_of(mesh, uid): who a workload is as a proxy. Sidecar, or the gateway or waypoint it was made for."""

from __future__ import annotations

from plait.model.locality import Locality
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy, Role


def proxy_of(mesh: Mesh, uid: str, role: Role | None = None) -> Proxy | None:
    """None when no such workload is known. `role` overrides what the pod's labels say (Istio gateways have none)."""
    workload, instance = mesh.workloads.get(uid), mesh.l7.instances.get(uid)
    if workload is None or instance is None:
        return None
    if role is None:
        gateway = mesh.l7.gateways.get(f"gateway-api/{instance.gateway}") if instance.gateway else None
        labels = dict(instance.labels)
        if gateway is not None:
            role = "waypoint" if gateway.waypoint else "gateway"
        else:
            role = "gateway" if instance.mode != "sidecar" and _selected(mesh, labels) else "sidecar"
    owner = instance.gateway.partition("/")[0] or workload.namespace
    return Proxy(
        role=role,
        namespace=owner,
        account_namespace=workload.namespace if owner != workload.namespace else "",
        name=workload.name,
        uid=uid,
        workload=workload.workload_name,
        workload_type=workload.workload_type,
        labels=instance.labels,
        service_account=workload.service_account,
        addresses=workload.addresses,
        node=workload.node,
        network=workload.network,
        cluster=workload.cluster_id,
        locality=workload.locality or Locality(),
        trust_domain=workload.trust_domain,
        gateway=instance.gateway,
        transparent=instance.transparent,
        uncaptured=instance.uncaptured,
    )


def _selected(mesh: Mesh, labels: dict[str, str]) -> bool:
    """An Istio Gateway with a selector chooses these labels."""
    return any(
        gateway.selector and all(labels.get(name) == value for name, value in gateway.selector)
        for gateway in mesh.l7.gateways.values()
        if not gateway.managed
    )
