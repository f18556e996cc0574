"""One client and one server in given modes, and what every proxy on the way between them is told.

`changed` compares two worlds: which proxies of the way notice the difference.
"""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds as l7
from plait.app.asked import translated
from plait.envoy.roles import node
from plait.model.compile import compile
from plait.model.enforcement import ClientMode, Point, ServerMode
from plait.model.mesh import Mesh
from plait.model.views.asking import proxy_of
from plait.model.views.node import NodeState, PodState, project

HOST = "web.shop.svc.cluster.local"
CLIENT, SERVER, WAYPOINT, GATEWAY = "client-1", "web-1", "waypoint-1", "edge-1"
_ADDRESS = {CLIENT: "10.0.0.1", SERVER: "10.0.0.2", WAYPOINT: "10.4.0.1", GATEWAY: "10.3.0.1"}
_PORTS = [
    {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
    {"name": "tcp", "port": 81, "targetPort": 9090, "protocol": "TCP"},
]
_USE = {"istio.io/use-waypoint": "waypoint"}


def world(client: ClientMode, server: ServerMode, *more: d.Document) -> Mesh:
    """Service `web` of pod web-1 called by pod client-1 (a gateway: by edge-1)."""
    behind = _USE if server.endswith("+waypoint") else {}
    documents = [
        l7.waypoint(),
        l7.gateway_pod(WAYPOINT, _ADDRESS[WAYPOINT], "waypoint", account="waypoint"),
        d.service("web", "10.9.0.1", labels=behind, spec={"ports": _PORTS}),
        d.service("client", "10.9.0.2", labels=_USE if client == "ambient+waypoint" else {}),
        _pod(SERVER, "web", server.removesuffix("+waypoint")),
        _pod(CLIENT, "client", client.removesuffix("+waypoint")),
    ]
    if client == "gateway":
        route = {"backendRefs": [{"name": "web", "port": 80}]}
        documents += [
            l7.gateway("edge"),
            l7.gateway_pod(GATEWAY, _ADDRESS[GATEWAY], "edge"),
            l7.api("HTTPRoute", "entrance", parentRefs=[{"name": "edge"}], rules=[route]),
        ]
    return compile(l7.objects(*documents, *more))[0]


def waypoint_service() -> d.Document:
    """By which node proxies find the waypoint."""
    labels = {"gateway.networking.k8s.io/gateway-name": "waypoint"}
    return d.service("waypoint", "10.9.0.9", port=15008, target=15008, labels=labels, spec={"selector": labels})


def _pod(name: str, app: str, mode: str) -> d.Document:
    labels = {"app": app}
    if mode == "sidecar":
        return l7.sidecar_pod(name, _ADDRESS[name], labels=labels, account=app)
    return d.pod(name, _ADDRESS[name], labels=labels, account=app, captured=mode == "ambient")


def way(client: ClientMode, server: ServerMode, mesh: Mesh) -> dict[Point | str, Any]:
    """Documents of each proxy that a request passes, by the planner's names of points."""
    found: dict[Point | str, Any] = {}
    if client in ("ambient", "ambient+waypoint"):
        found["client node proxy"] = _node(mesh, CLIENT)
    elif client == "sidecar":
        found["client sidecar"] = _side(_l7(mesh, CLIENT), inbound=False)
    elif client == "gateway":
        found["gateway"] = _l7(mesh, GATEWAY)
    if server.endswith("+waypoint") and client != "none":
        found["waypoint"] = _l7(mesh, WAYPOINT)
    if server.startswith("ambient"):
        found["server node proxy"] = _node(mesh, SERVER)
    elif server.startswith("sidecar"):
        found["server sidecar"] = _side(_l7(mesh, SERVER), inbound=True)
    return found


def changed(before: dict[Point | str, Any], after: dict[Point | str, Any]) -> set[Point | str]:
    return {point for point, told in after.items() if before[point] != told}


def _l7(mesh: Mesh, pod: str) -> Any:
    proxy = proxy_of(mesh, f"Kubernetes//Pod/shop/{pod}")
    assert proxy is not None, pod
    documents, problems = translated(mesh, proxy)
    assert not problems, problems
    return documents


def _side(told: Any, *, inbound: bool) -> Any:
    """A sidecar is two proxies in one: what its pod calls, and what calls its pod."""
    return {part: [each for each in found if _inbound(each) == inbound] for part, found in told.items()}


def _inbound(document: Any) -> bool:
    name = document.get("name") or document.get("cluster_name", "")
    direction = document.get("traffic_direction", "")
    if direction or "filter_chains" in document:
        return direction != "OUTBOUND"
    return name.startswith(("inbound|", "Inbound", "connect_terminate", "main_internal"))


def _node(mesh: Mesh, pod: str) -> Any:
    workload = mesh.workloads[f"Kubernetes//Pod/shop/{pod}"]
    state = PodState(pod, "shop", pod, workload.service_account, workload.addresses, f"/run/netns/{pod}")
    return node.documents(project(mesh, NodeState("n1", (state,))))
