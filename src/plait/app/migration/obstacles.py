"""obstacles(documents, mesh, plan): why a migration could not come to its end, each with the way out. Pure.

What would be found out in the middle otherwise: pods that are refused, a waypoint that nobody made, labels that win.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from plait.app.migration.plan import Plan, inside, services_of
from plait.base.wellknown import DATAPLANE_MODE, INJECT, NODE_PROXY_PORTS, PROXY_CONTAINER, PROXY_PORTS
from plait.model.mesh import Mesh
from plait.model.modes import Mode

Document = Mapping[str, Any]
_AGAINST: Final[Mapping[Mode, tuple[tuple[str, str], ...]]] = {
    "ambient": ((INJECT, "true"), (DATAPLANE_MODE, "none")),
    "sidecar": ((INJECT, "false"),),
    "none": ((INJECT, "true"), (DATAPLANE_MODE, "ambient")),
}
"""Labels of a pod that win over those of its namespace, which is all that a migration of a namespace writes."""
_TAKEN: Final[Mapping[Mode, frozenset[int]]] = {"ambient": NODE_PROXY_PORTS, "sidecar": PROXY_PORTS}


def obstacles(documents: Iterable[Document], mesh: Mesh, found: Plan) -> tuple[str, ...]:
    """In a stable order, each once: pods of one template say the same."""
    names = frozenset(found.pods)
    pods = [
        each
        for each in documents
        if each["kind"] == "Pod"
        and each["metadata"].get("namespace") == found.scope.namespace
        and each["metadata"]["name"] in names
    ]
    said = [*_waypoints(mesh, found), *(why for pod in pods for why in (*_ports(pod, found.to), *_labels(pod, found)))]
    return tuple(dict.fromkeys(said))


def _waypoints(mesh: Mesh, found: Plan) -> Iterator[str]:
    """Those that Services of the scope are bound to, or will be, and that are not there or serve somebody else."""
    if found.to != "ambient":
        return
    services = services_of(mesh, inside(mesh, found.scope).values())
    wanted = {each.waypoint: f"Service {each.name} is bound to" for each in services if each.waypoint}
    if found.services and not found.creates_waypoint:
        wanted.setdefault(found.waypoint, f"Service {found.services[0]} would be bound to")
    for waypoint, whose in sorted(wanted.items()):
        namespace, _, name = waypoint.partition("/")
        gateway = mesh.l7.gateways.get(f"gateway-api/{waypoint}")
        fix = f"make it (plait waypoint apply {name} -n {namespace}) or mend the label istio.io/use-waypoint"
        if gateway is None:
            yield f"waypoint {waypoint}, which {whose}, does not exist: {fix}"
        elif not gateway.waypoint:
            yield f"Gateway {waypoint}, which {whose}, is no waypoint: {fix}"
        elif gateway.waypoint_for not in ("service", "all"):
            label = "istio.io/waypoint-for=service"
            yield f"waypoint {waypoint}, which {whose}, serves {gateway.waypoint_for}: label it {label}"


def _ports(pod: Document, to: Mode) -> Iterator[str]:
    """An application that listens where the proxy will."""
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if container.get("name") != PROXY_CONTAINER and port.get("containerPort") in _TAKEN.get(to, ()):
                text = f"container {container.get('name')} of pod {_owner(pod)} listens on {port['containerPort']}"
                yield f"{text}, which is the proxy's: let it listen elsewhere (in its Service only targetPort changes)"


def _labels(pod: Document, found: Plan) -> Iterator[str]:
    if found.scope.workload:
        return  # its template is written
    labels = pod["metadata"].get("labels") or {}
    for name, value in _AGAINST[found.to]:
        if labels.get(name) == value:
            text = f"pod {_owner(pod)} says {name}={value} itself, which wins over the namespace's labels"
            one = f"plait migrate apply {found.scope.namespace}/WORKLOAD --to {found.to}"
            yield f"{text}: drop it from the template, or migrate that workload by itself ({one})"


def _owner(pod: Document) -> str:
    """Pods of one template are one."""
    meta = pod["metadata"]
    return str(meta.get("generateName", meta["name"])).rstrip("-")
