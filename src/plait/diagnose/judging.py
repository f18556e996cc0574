"""Who refuses a request, judged by the policies that the views of the proxies on its way hold, one after the other."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, structs

from plait.diagnose.binding import Called
from plait.diagnose.requests import Request, policy_matches, route_matches
from plait.model.decision import Flow
from plait.model.decision import decide as decide_flow
from plait.model.enforcement import ClientMode, ServerMode, decide
from plait.model.index import index_of
from plait.model.mesh import Mesh, Workload
from plait.model.proxies import Proxy
from plait.model.views import bindings, hosting, sidecar_projection, waypoint_projection
from plait.model.views.asking import proxy_of
from plait.model.views.enforced import Enforced
from plait.model.views.resolve import Resolver
from plait.model.views.scope import Scope


class Verdict(Struct, frozen=True):
    """`allowed` None: it depends on something nobody said, which `because` names."""

    allowed: bool | None
    point: str
    because: str


def taken_route(mesh: Mesh, called: Called, asking: Proxy, request: Request) -> str:
    """The first route of the service that takes this request, as its point has it."""
    if called.service is None:
        return ""
    resolver = Resolver(Scope(mesh, asking))
    host = hosting.service_host(called.service, called.port, resolver, mesh.settings.cluster_domain)
    for route in host.routes:
        taken = route_matches(route.matches, request)
        if taken is not False:
            name = f"{route.source} {route.name}".strip() if route.source else ""
            return f"perhaps {name}" if taken is None else name
    return "none of them (404)"


def judged(
    mesh: Mesh,
    client: Workload,
    own: ClientMode,
    mode: ServerMode,
    called: Called,
    around: tuple[str, ...],
    request: Request,
) -> Verdict:
    """`around`: policies this way does not pass (see `model.guard`)."""
    guard = decide("none", mode, "waypoint-policy").guard
    waypoint = called.waypoint(mesh) if own != "none" else ""
    if around and guard:
        return Verdict(False, "waypoint" if waypoint else guard, f"this way does not pass {', '.join(around)}")
    asked = structs.replace(
        request,
        principal=str(client.identity) if own != "none" else "",
        source=client.addresses[0] if client.addresses else "",
        port=called.port,
    )
    depends: list[Verdict] = []
    if waypoint:
        proxy = _instance(mesh, waypoint)
        if proxy is None:
            return Verdict(False, "waypoint", f"no pod of waypoint {waypoint} runs")
        found = _at_waypoint(mesh, proxy, called, asked)
        if found.allowed is False:
            return found
        depends += [found] if found.allowed is None else []
        asked = structs.replace(asked, principal=proxy.identity, source=next(iter(proxy.addresses), ""))
    asked = structs.replace(asked, port=called.target)
    found = _at_server(mesh, mode, called, asked)
    if found.allowed is False:
        return found
    depends += [found] if found.allowed is None else []
    return depends[0] if depends else Verdict(True, "", "nobody refuses it")


def _instance(mesh: Mesh, waypoint: str) -> Proxy | None:
    for uid, instance in sorted(mesh.l7.instances.items()):
        workload = mesh.workloads.get(uid)
        if instance.gateway == waypoint and workload is not None and workload.healthy:
            return proxy_of(mesh, uid, "waypoint")
    return None


def _at_waypoint(mesh: Mesh, proxy: Proxy, called: Called, request: Request) -> Verdict:
    view = waypoint_projection.project(mesh, proxy)
    flow = Flow(request.principal, request.source, next(iter(proxy.addresses), ""), view.port)
    l4 = decide_flow(view.l4, flow)
    if not l4.allowed:
        return Verdict(False, "waypoint", _refused(l4.policy))
    if called.service is not None:
        served = next((each for each in view.services if each.key == called.service.key), None)
        return _by_policies("waypoint", served.enforced if served is not None else Enforced(), request)
    workload = next((each for each in view.workloads if each.uid == called.workload.uid), None)
    return _by_policies("waypoint", workload.enforced if workload is not None else Enforced(), request)


def _at_server(mesh: Mesh, mode: ServerMode, called: Called, request: Request) -> Verdict:
    workload = called.workload
    if mode.startswith("ambient"):
        policies = bindings.effective(mesh, index_of(mesh), workload.namespace, workload.policies)
        address = workload.addresses[0] if workload.addresses else ""
        found = decide_flow(policies, Flow(request.principal, request.source or address, address, called.target))
        because = "" if found.allowed else _refused(found.policy)
        return Verdict(found.allowed, "server node proxy", because)
    if mode.startswith("sidecar") and (proxy := proxy_of(mesh, workload.uid, "sidecar")) is not None:
        view = sidecar_projection.project(mesh, proxy)
        demand = mesh.l7.peer_modes.get(workload.uid)
        if demand is not None and demand.at(called.target) == "strict" and not request.principal:
            return Verdict(False, "server sidecar", "PeerAuthentication STRICT: the client shows no certificate")
        return _by_policies("server sidecar", view.enforced, request)
    return Verdict(True, "", "")


def _refused(policy: str) -> str:
    return f"policy {policy} denies it" if policy else "no ALLOW policy lets it in"


def _by_policies(point: str, enforced: Enforced, request: Request) -> Verdict:
    """CUSTOM and tokens are for others to judge; DENY before ALLOW. Of whom nobody can be asked about is denied."""
    asked = {each.name for each in enforced.authorizers if not each.broken}
    live = [policy for policy in enforced.policies if not policy.dry_run]
    depends: list[str] = []
    for policy in live:
        found = policy_matches(policy, request)
        if policy.action == "deny" and found:
            return Verdict(False, point, _refused(policy.key))
        if policy.action == "custom" and found and policy.provider not in asked:
            return Verdict(False, point, f"{policy.key}: its provider {policy.provider!r} cannot be asked")
        if policy.action == "custom" and found is not False:
            depends.append(f"the answer of {policy.provider} ({policy.key})")
        elif policy.action == "deny" and found is None:
            depends.append(f"{policy.key} (DENY)")
    allowing = [policy for policy in live if policy.action == "allow"]
    allowed = {policy_matches(policy, request) for policy in allowing}
    if allowing and True not in allowed:
        if None not in allowed:
            return Verdict(False, point, _refused(""))
        depends.append(" or ".join(f"{policy.key} (ALLOW)" for policy in allowing))
    depends += [f"a token, if one is sent, of {each.key}" for each in enforced.authentication]
    return Verdict(None, point, f"it depends on {_listed(depends)}") if depends else Verdict(True, point, "")


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts)
