"""The Gateway API step: classes, gateways, listener sets and routes -> gateways, routings, backend TLS, statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from plait.base.wellknown import WAYPOINT_FOR
from plait.model.compile.memory import Memory, itself
from plait.model.compile.traffic.credentials import Credentials
from plait.model.compile.traffic.gateway_api import (
    backend_tls,
    classes,
    gateway_status,
    http_route,
    placing,
    policy_status,
)
from plait.model.compile.traffic.gateway_api.backends import Backends
from plait.model.compile.traffic.gateway_api.gateway_status import strange_address
from plait.model.compile.traffic.gateway_api.grants import Grants
from plait.model.compile.traffic.gateway_api.listener_tls import Owner, client_certificate, options_wrong
from plait.model.compile.traffic.gateway_api.listeners import Open, chosen, opened
from plait.model.compile.traffic.gateway_api.parents import Attached, Listening, Parents
from plait.model.compile.traffic.report import BAD_VALUE, NO_EFFECT, NOT_GRANTED, Report
from plait.model.gateways import Gateway
from plait.model.http_services import HttpService
from plait.model.mesh import Settings
from plait.model.routes import Destination, Parent, Route, Routing, TcpRoute, TlsMatch, TlsRoute
from plait.model.status import Condition, ParentStatus, RouteStatus, Status
from plait.resources import kinds
from plait.resources.gateway_api import gateway as written
from plait.resources.kinds import Kind
from plait.resources.problems import Problem

Name = tuple[str, str]


class Objects(Protocol):
    def of(self, kind: Kind) -> Mapping[Name, Any]: ...


class Compiled(msgspec.Struct):
    gateways: list[Gateway]
    routings: Mapping[str, Routing]
    backend_tls: tuple[backend_tls.BackendTls, ...]
    statuses: Mapping[str, Status]


def compiled(
    objects: Objects,
    services: Mapping[str, HttpService],
    credentials: Credentials,
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
) -> Compiled:
    known = objects.of(kinds.GATEWAY_CLASS)
    grants = Grants(objects.of(kinds.REFERENCE_GRANT).values())
    gateways: Mapping[Name, written.Gateway] = objects.of(kinds.GATEWAY)
    ours = {name: run for name, each in gateways.items() if (run := classes.runs(each.spec.gateway_class_name, known))}
    taking = {n: g for n, run in ours.items() if run == "gateway" and not strange_address(g := gateways[n])}
    sets = {**dict.fromkeys(ours, ()), **allowed_sets(objects, taking)}
    listening = {
        name: opened(gateways[name], sets[name], grants, credentials, waypoint=run == "waypoint")
        for name, run in ours.items()
    }
    members = {each.ident: name for name, found in sets.items() for each in found}
    parents = Parents(
        listening, gateways.keys() - ours.keys(), members, services, objects.of(kinds.NAMESPACE), settings
    )
    backends = Backends(services, grants, settings)
    policies = objects.of(kinds.BACKEND_TLS_POLICY).values()
    for policy in policies:
        if policy.spec.options:
            report = Report("BackendTLSPolicy", policy.namespace, policy.name)
            report.unsupported("spec.options", "remove them")
            problems.extend(report.problems)
    surroundings = (services, *(objects.of(kind) for kind in _AROUND_ROUTES))
    around = memory.step("around-routes", [], lambda _, __: object(), *surroundings)  # another one with any of them
    routed = tuple(_routed(objects, parents, backends, memory, around))
    routings = memory.gathered("routes", *((each, _its_routing) for each in routed))
    for route in memory.gathered("noted-routes", *((each, _noted) for each in routed)).values():
        parents.count(route.counted)
        problems.extend(route.problems)
    statuses: dict[str, Status] = {}
    tls = backend_tls.read(policies, services, credentials, settings)
    for each in known.values():
        if (found := classes.status(each)) is not None:
            statuses[f"{kinds.GATEWAY_CLASS}//{each.name}"] = found
            if each.spec.parameters_ref is not None:
                report = Report("GatewayClass", "", each.name)
                report.unsupported(
                    "spec.parametersRef",
                    "label a ConfigMap with gateway.istio.io/defaults-for-class, or name one per Gateway",
                )
                problems.extend(report.problems)
    parameters = objects.of(kinds.CONFIG_MAP)
    made = []
    for name, run in ours.items():
        gateway = gateways[name]
        shown, unshown = client_certificate(Owner("Gateway", gateway, grants, credentials))
        if unshown is not None:
            path = "spec.tls.backend.clientCertificateRef"
            problems.append(Problem("PLT0405", "error", "Gateway", *name, path, unshown.message))
        statuses[f"{kinds.GATEWAY}/{name[0]}/{name[1]}"] = gateway_status.of_gateway(
            gateway, listening[name], sets[name], parents, parameters, unshown
        )
        for each in sets[name]:
            statuses[f"{kinds.LISTENER_SET}/{each.namespace}/{each.name}"] = gateway_status.of_set(
                each, name, listening[name], parents
            )
        problems.extend(_wrong(gateway, sets[name], listening[name]))
        account = placing.account(gateway, run == "waypoint", parameters, memory)
        made.append(_noun(gateway, run, listening[name], account, shown))
    problems.extend(_refused_sets(objects, members, ours, gateways, statuses))
    for policy, said in policy_status.of_policies(policies, tls, routings.values()):
        statuses[f"{kinds.BACKEND_TLS_POLICY}/{policy.namespace}/{policy.name}"] = said
    every = memory.gathered("statuses", *((each, _its_status) for each in routed), (statuses, itself))
    return Compiled(made, routings, tls.policies, every)


def allowed_sets(objects: Objects, gateways: Mapping[Name, written.Gateway]) -> dict[Name, list[written.ListenerSet]]:
    """ListenerSets a gateway allows, the oldest first."""
    found: dict[Name, list[written.ListenerSet]] = {name: [] for name in gateways}
    namespaces = objects.of(kinds.NAMESPACE)
    order = sorted(objects.of(kinds.LISTENER_SET).values(), key=lambda s: (s.meta.creation_timestamp or "", *s.ident))
    for each in order:
        named = each.spec.parent_ref.named(each.namespace)
        gateway = gateways.get(named) if named is not None else None
        if gateway is None or gateway.spec.allowed_listeners is None:
            continue
        allowed = gateway.spec.allowed_listeners.namespaces
        if chosen(allowed.from_, allowed.selector, gateway.namespace, each.namespace, namespaces):
            found[gateway.ident].append(each)
    return found


def _noun(
    each: written.Gateway, run: str, listening: tuple[Open, ...], account: tuple[str, str], shown: str
) -> Gateway:
    word = each.meta.labels.get(WAYPOINT_FOR, "service")
    return Gateway(
        key=f"gateway-api/{each.namespace}/{each.name}",
        namespace=each.namespace,
        name=each.name,
        listeners=tuple(each.listener for each in listening),
        class_name=each.spec.gateway_class_name,
        waypoint=run == "waypoint",
        waypoint_for=word if word in ("service", "workload", "all", "none") else "service",  # type: ignore[arg-type]
        backend_credential=shown,
        service_account=account[1],
        account_namespace=account[0],
        created=each.meta.creation_timestamp or "",
    )


def _routed(
    objects: Objects, parents: Parents, backends: Backends, memory: Memory, around: object
) -> Iterator[Mapping[Name, _Routed]]:
    """Routes of each kind as they were compiled last, while nothing around them has changed."""
    for kind in _ROUTES:

        def make(name: Name, each: Any, kind: Kind = kind) -> _Routed:
            report = Report(kind.kind, each.namespace, each.name)
            with parents.counting() as counted:
                routing, status = _routing(kind.kind, each, parents, backends, report)
            return _Routed(f"{kind}/{name[0]}/{name[1]}", routing, status, tuple(report.problems), tuple(counted))

        yield memory.each(str(kind), objects.of(kind), make, around)


_AROUND_ROUTES = (
    kinds.GATEWAY_CLASS,
    kinds.GATEWAY,
    kinds.LISTENER_SET,
    kinds.REFERENCE_GRANT,
    kinds.NAMESPACE,
    kinds.SECRET,
    kinds.CONFIG_MAP,
)
"""All that a route's meaning depends on beside itself and the services."""
_ROUTES = (kinds.HTTP_ROUTE, kinds.GRPC_ROUTE, kinds.TLS_ROUTE, kinds.TCP_ROUTE, kinds.UDP_ROUTE)
_NO_UDP = "UDP is not carried by the mesh: no proxy is told of this; let clients ask the Service, and delete the route"


class _Routed(NamedTuple):
    """One route, compiled."""

    key: str
    """Of its status."""
    routing: Routing | None
    status: RouteStatus
    problems: tuple[Problem, ...]
    counted: tuple[Listening, ...]
    """Listeners it is attached to."""


def _its_routing(name: Name, each: _Routed) -> Iterator[tuple[str, Routing]]:
    if each.routing is not None:
        yield each.routing.key, each.routing


def _its_status(name: Name, each: _Routed) -> Iterator[tuple[str, Status]]:
    if each.status.parents:
        yield each.key, each.status


def _noted(name: Name, each: _Routed) -> Iterator[tuple[str, _Routed]]:
    """One that says more than what it means and how it stands."""
    if each.counted or each.problems:
        yield each.key, each


def _routing(
    kind: str, each: Any, parents: Parents, backends: Backends, report: Report
) -> tuple[Routing | None, RouteStatus]:
    hostnames = tuple(host.lower() for host in getattr(each.spec, "hostnames", ()))
    if each.spec.use_default_gateways is not None:
        report.unsupported("spec.useDefaultGateways", "name the gateways in parentRefs")
    answers: list[Attached] = []
    carried = kind != "UDPRoute"
    for number, ref in enumerate(each.spec.parent_refs):
        mesh = ref.kind in ("Service", "ServiceEntry")
        answer = parents.find(ref, kind, each.namespace, () if mesh else hostnames)
        if answer is None:
            continue
        answers.append(answer)
        if answer.accepted.status == "False" and carried:
            report.error("IST0101", f"spec.parentRefs[{number}]", answer.accepted.message)
    if not answers:
        return None, RouteStatus(())
    backends = backends.of_route(each.spec.parent_refs, each.namespace, {a.sees_from(each.namespace) for a in answers})
    routes: list[Route] = []
    tcp: list[TcpRoute] = []
    tls: list[TlsRoute] = []
    unresolved: tuple[str, str] | None = None
    unsupported, served = "", True
    if kind in ("HTTPRoute", "GRPCRoute"):
        rules = (
            http_route.http(each, backends, report) if kind == "HTTPRoute" else http_route.grpc(each, backends, report)
        )
        routes, unresolved = rules.routes, rules.unresolved
        unsupported, served = rules.unsupported, rules.served
    else:
        source = f"{kind}/{each.namespace}/{each.name}"
        for number, rule in enumerate(each.spec.rules):
            destinations, wrong = _split(kind, each, rule, f"spec.rules[{number}]", backends, report)
            unresolved = unresolved or wrong
            name = f"{each.namespace}.{each.name}.{rule.name or number}"
            if kind == "TLSRoute":
                tls.append(TlsRoute((TlsMatch(hostnames),), destinations, name, source))
            else:
                tcp.append(TcpRoute((), destinations, name, source))
    if not carried:
        unsupported, served = _NO_UDP, False
        report.say(NO_EFFECT, "spec", _NO_UDP)
    resolved = Condition("ResolvedRefs", "True", "ResolvedRefs")
    if unresolved is not None:
        resolved = Condition("ResolvedRefs", "False", *unresolved)
    bad = Condition("Accepted", "False", "UnsupportedValue", unsupported) if unsupported and not served else None
    extra: tuple[Condition, ...] = ()
    if unsupported and served:
        extra = (Condition("PartiallyInvalid", "True", "UnsupportedValue", unsupported),)
    status = RouteStatus(
        tuple(
            ParentStatus(a.reference, (bad or a.accepted, _seen_by(a, each, backends, resolved), *extra))
            for a in answers
        )
    )
    bound = _merged(parent for answer in answers for parent in answer.parents)
    if not bound or not carried:
        return None, status
    routing = Routing(
        kind=kind,
        namespace=each.namespace,
        name=each.name,
        hosts=hostnames,
        parents=bound,
        http=tuple(routes),
        tls=tuple(tls),
        tcp=tuple(tcp),
        created=each.meta.creation_timestamp or "",
    )
    return routing, status


def _seen_by(answer: Attached, each: Any, backends: Backends, resolved: Condition) -> Condition:
    """ResolvedRefs at one parent: a ServiceEntry may be exported to one of them only."""
    if resolved.status == "False":
        return resolved
    namespace = answer.sees_from(each.namespace)
    for ref in (ref for rule in each.spec.rules for ref in rule.backend_refs):
        if not backends.seen(ref, namespace):
            text = f"{ref.kind} {ref.name} is not exported to {namespace}; set exportTo of its ServiceEntry"
            return Condition("ResolvedRefs", "False", "BackendNotFound", text)
    return resolved


def _merged(found: Iterator[Parent]) -> tuple[Parent, ...]:
    """One parent for each gateway, with all listeners that take the route."""
    kept: dict[tuple[str, str, int], Parent] = {}
    for parent in found:
        key = (parent.kind, parent.key, parent.port)
        before = kept.get(key)
        if before is not None:
            parent = msgspec.structs.replace(
                parent, listeners=tuple(dict.fromkeys((*before.listeners, *parent.listeners)))
            )
        kept[key] = parent
    return tuple(kept.values())


def _split(
    kind: str, each: Any, rule: Any, path: str, backends: Backends, report: Report
) -> tuple[tuple[Destination, ...], tuple[str, str] | None]:
    destinations, wrong = [], None
    for number, ref in enumerate(rule.backend_refs):
        found = backends.find(ref, kind, each.namespace, ref.weight)
        if found.reason:
            wrong = wrong or (found.reason, found.destination.broken)
            code = NOT_GRANTED if found.reason == "RefNotPermitted" else "IST0101"
            report.error(code, f"{path}.backendRefs[{number}]", found.destination.broken)
        destinations.append(found.destination)
    return tuple(destinations), wrong


def _refused_sets(
    objects: Objects,
    members: Mapping[Name, Name],
    ours: Mapping[Name, classes.Runs],
    gateways: Mapping[Name, written.Gateway],
    statuses: dict[str, Status],
) -> Iterator[Problem]:
    for each in objects.of(kinds.LISTENER_SET).values():
        named = each.spec.parent_ref.named(each.namespace)
        if named is None:
            report = Report("ListenerSet", each.namespace, each.name)
            report.say(NO_EFFECT, "spec.parentRef", "listeners are added to a Gateway only; name one, or delete this")
            yield from report.problems
        elif each.ident not in members and named in ours:
            key = f"{kinds.LISTENER_SET}/{each.namespace}/{each.name}"
            statuses[key] = gateway_status.of_refused_set(gateways[named], ours[named])


def _wrong(
    each: written.Gateway, sets: Iterable[written.ListenerSet], listening: tuple[Open, ...]
) -> Iterator[Problem]:
    report = Report("Gateway", each.namespace, each.name)
    if each.spec.default_scope is not None:
        report.unsupported("spec.defaultScope", "let routes name the gateway")
    _optioned(each.spec.listeners, report)
    yield from report.problems
    for one in sets:
        report = Report("ListenerSet", one.namespace, one.name)
        _optioned(one.spec.listeners, report)
        yield from report.problems
    for item in listening:
        if item.listener.broken:
            kind, namespace, name = item.owner
            yield Problem(
                "PLT0405", "error", kind, namespace, name, f"spec.listeners[{item.section}]", item.listener.broken
            )


def _optioned(listeners: Iterable[written.Listener], report: Report) -> None:
    for number, listener in enumerate(listeners):
        for option, why in options_wrong(listener):
            path = f"spec.listeners[{number}].tls.options[{option}]"
            if why:
                report.say(BAD_VALUE, path, why)
            else:
                report.unsupported(path, "use an Istio Gateway for TLS details")
