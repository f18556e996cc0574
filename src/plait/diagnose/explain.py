"""explain(mesh, client, called, request): which proxies a request passes, and at which of them each object acts.

Where something acts is the enforcement planner's word (`model.enforcement`), what is enforced there is the view that
the proxy is told; nothing is measured. With a request it also says who would refuse it, as far as can be told.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from plait.diagnose.binding import Called, binding
from plait.diagnose.judging import Verdict, judged, taken_route
from plait.diagnose.requests import Request
from plait.model.enforcement import ClientMode, ServerMode, decide, server_mode
from plait.model.guard import guard_of
from plait.model.mesh import Mesh, Workload
from plait.model.proxies import Proxy
from plait.model.views.asking import proxy_of


class Hop(Struct, frozen=True):
    """A proxy on the way. `note`: why it may not do its part."""

    proxy: str
    name: str
    note: str = ""


class Enforced(Struct, frozen=True, rename={"taken_for": "as"}):
    """An object: the one point that applies it, who refuses what did not pass that (`guard`), or why nobody can."""

    kind: str
    namespace: str
    name: str
    detail: str
    taken_for: str
    point: str
    guard: str
    reason: str


class Explanation(Struct, frozen=True):
    """For one server mode; `pods` are those that are called so."""

    client: str
    client_mode: ClientMode
    server: str
    server_mode: ServerMode
    pods: tuple[str, ...]
    path: tuple[Hop, ...]
    enforcement: tuple[Enforced, ...]
    around: tuple[str, ...]
    """Policies of the pods' services that this way does not pass: the server's proxy refuses it."""
    route: str = ""
    """With a request: the route that takes it (`Kind/ns/name name`), "" straight to the service."""
    verdict: Verdict | None = None


def explain(
    mesh: Mesh, client: Workload, called: tuple[Called, ...], request: Request | None = None
) -> tuple[Explanation, ...]:
    """One for each mode that the called workloads are in."""
    groups: dict[ServerMode, list[Called]] = {}
    for each in called:
        groups.setdefault(mode_called(mesh, each), []).append(each)
    return tuple(_explained(mesh, client, mode, found, request) for mode, found in groups.items())


def client_mode(mesh: Mesh, workload: Workload) -> ClientMode:
    proxy, instance = proxy_of(mesh, workload.uid), mesh.l7.instances.get(workload.uid)
    if instance is None or proxy is None:
        return "none"
    if proxy.role != "sidecar":
        return "gateway"
    own = (mesh.l7.services.get(each.service) for each in workload.services)
    behind = bool(instance.waypoint) or any(service is not None and service.waypoint for service in own)
    return "ambient+waypoint" if instance.mode == "ambient" and behind else instance.mode


def mode_called(mesh: Mesh, called: Called) -> ServerMode:
    instance = mesh.l7.instances.get(called.workload.uid)
    if instance is not None and instance.gateway:
        return "gateway"
    return server_mode(instance.mode if instance is not None else "none", bool(called.waypoint(mesh)))


def _explained(
    mesh: Mesh, client: Workload, mode: ServerMode, found: list[Called], request: Request | None
) -> Explanation:
    first, asking = found[0], proxy_of(mesh, client.uid) or Proxy("sidecar", client.namespace, client.name)
    own = client_mode(mesh, client)
    point = decide(own, mode, "route").point
    if point == "waypoint":
        asking = Proxy("waypoint", first.waypoint(mesh).partition("/")[0], "", gateway=first.waypoint(mesh))
    enforcement = []
    for each in binding(mesh, first, asking):
        decision = decide(own, mode, each.taken_for)
        names = each.kind, each.namespace, each.name, each.detail, each.taken_for
        enforcement.append(Enforced(*names, decision.point, decision.guard, decision.reason))
    around = _around(mesh, first)
    made = Explanation(
        client=f"{client.namespace}/{client.name}",
        client_mode=own,
        server=_server(first),
        server_mode=mode,
        pods=tuple(f"{each.workload.namespace}/{each.workload.name}" for each in found),
        path=tuple(_path(mesh, client, own, mode, found)),
        enforcement=tuple(enforcement),
        around=around,
    )
    if request is None:
        return made
    route = taken_route(mesh, first, asking, request) if point != "nowhere" else ""
    verdict = judged(mesh, client, own, mode, first, around, request)
    return msgspec.structs.replace(made, route=route, verdict=verdict)


def _server(called: Called) -> str:
    if called.service is not None:
        return f"{called.service.kind} {called.service.namespace}/{called.service.name}:{called.port}"
    return f"Pod {called.workload.namespace}/{called.workload.name}:{called.target}"


def _around(mesh: Mesh, called: Called) -> tuple[str, ...]:
    guard = guard_of(mesh.l7)
    waypoint = called.waypoint(mesh)
    passed = guard.of_service(called.service) if called.service is not None else guard.of_waypoint(waypoint)
    return tuple(sorted(guard.lacking(called.workload, called.target, passed)))


def _path(mesh: Mesh, client: Workload, own: ClientMode, mode: ServerMode, found: list[Called]) -> Iterator[Hop]:
    name = f"{client.namespace}/{client.name}"
    if own in ("ambient", "ambient+waypoint"):
        yield Hop("client node proxy", client.node)
    elif own != "none":
        yield Hop("client sidecar" if own == "sidecar" else "gateway", name)
    waypoint = found[0].waypoint(mesh)
    if waypoint and own != "none":
        yield Hop("waypoint", waypoint, _waypoint_note(mesh, waypoint, own, found[0]))
    elif waypoint:
        yield Hop("waypoint", waypoint, "not passed: the client is outside the mesh")
    for each in found:
        if mode.startswith("ambient"):
            yield Hop("server node proxy", each.workload.node)
        elif mode != "none" and mode != "none+waypoint":
            yield Hop("server sidecar" if mode != "gateway" else "server gateway", each.workload.name)


def _waypoint_note(mesh: Mesh, waypoint: str, own: ClientMode, called: Called) -> str:
    if f"gateway-api/{waypoint}" not in mesh.l7.gateways:
        return "it does not exist: create it (plait waypoint apply) or drop the label istio.io/use-waypoint"
    known = mesh.services.get(called.service.key) if called.service is not None else called.workload
    if own.startswith("ambient") and (known is None or known.waypoint is None):
        return "it has no address (no Service, no status.addresses), so node proxies go straight"
    if not any(each.gateway == waypoint for each in mesh.l7.instances.values()):
        return "no pod of it runs, so nothing passes"
    return ""
