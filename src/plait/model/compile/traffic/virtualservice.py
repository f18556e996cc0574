"""VirtualService -> Routing: hosts, gateways, delegates. What a rule says is in `virtualservice_http` and `_l4`.

A delegate's rules take the place of the rule that names it, with both matches joined. A broken rule is a problem and
is left out; a delegate that is missing, or comes back to itself, leaves out that rule only.

Each is read by itself and asks for what it depends on (delegates, who else has its hosts, what its routes lead to): so
one that changes costs itself, and those that asked for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from plait.model import hostnames as hosts
from plait.model.compile.memory import Ask, Memory
from plait.model.compile.traffic import references, virtualservice_http, virtualservice_l4
from plait.model.compile.traffic.delegates import inherit, joined
from plait.model.compile.traffic.report import CONFLICT, DELEGATE, Report
from plait.model.compile.traffic.visibility import EVERYBODY, visible
from plait.model.mesh import Settings
from plait.model.routes import Parent, Route, Routing
from plait.resources.networking.virtual_service import Delegate, VirtualService
from plait.resources.problems import Problem

KIND = "VirtualService"
Name = tuple[str, str]
Claim = tuple[str, str, str]
"""Host, for whom ("*" or a namespace), and what of it."""


def routings(
    found: Mapping[Name, VirtualService],
    named: Mapping[str, Mapping[Any, Any]],
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
    exports: tuple[str, ...] = EVERYBODY,
) -> Mapping[str, Routing]:
    """One routing for each VirtualService with hosts, by its key. `named`: what routes may name (`references`)."""
    claims = memory.grouped("claims", found, lambda each: _claims(each, settings), _age)

    def read(_: Name, each: VirtualService, ask: Ask) -> _Read:
        if not each.spec.hosts:
            return _Read(None, ())
        routing, said = _routing(each, ask, settings, exports)
        return _Read(routing, (*said, *_taken(each, ask, settings), *references.wrong_routes(routing, ask)))

    read_of = memory.asking(KIND, found, read, {**named, "delegates": found, "claims": claims}, exports)
    for wrong in memory.gathered("wrong-virtual-services", (read_of, _wrong)).values():
        problems.extend(wrong.problems)
    return memory.gathered("virtual-services", (read_of, _its_routing))


class _Read(NamedTuple):
    routing: Routing | None
    """None of a delegate: its rules are those of who delegates to it."""
    problems: tuple[Problem, ...]


def _its_routing(_: Name, each: _Read) -> Iterator[tuple[str, Routing]]:
    if each.routing is not None:
        yield each.routing.key, each.routing


def _wrong(name: Name, each: _Read) -> Iterator[tuple[str, _Read]]:
    if each.problems:
        yield "/".join(name), each


def _named(delegate: Delegate, owner: VirtualService) -> Name:
    return delegate.namespace or owner.namespace, delegate.name


def _routing(
    each: VirtualService, ask: Ask, settings: Settings, exports: tuple[str, ...]
) -> tuple[Routing, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    routing = Routing(
        kind=KIND,
        namespace=each.namespace,
        name=each.name,
        hosts=tuple(hosts.full(host, each.namespace, settings) for host in spec.hosts),
        parents=tuple(_parents(each)),
        http=tuple(_rules(each, ask, settings, report, (each.ident,))),
        tls=tuple(virtualservice_l4.tls(each, settings, report)),
        tcp=tuple(virtualservice_l4.tcp(each, settings, report)),
        visible=visible(spec.export_to, each.namespace, exports),
        created=each.meta.creation_timestamp or "",
    )
    return routing, report.problems


def _parents(each: VirtualService) -> Iterator[Parent]:
    for name in dict.fromkeys(each.spec.gateways or ("mesh",)):
        if name == "mesh":
            yield Parent("mesh")
        else:
            yield Parent("gateway", virtualservice_http.gateway_key(name, each.namespace))


def _rules(
    each: VirtualService,
    ask: Ask,
    settings: Settings,
    report: Report,
    path: tuple[Name, ...],
) -> Iterator[Route]:
    """The HTTP rules of one VirtualService, delegates opened. `path` leads here, for loops."""
    for number, rule in enumerate(each.spec.http):
        where = f"spec.http[{number}]"
        route = virtualservice_http.route(each, rule, where, settings, report)
        if route is None:
            continue
        if rule.delegate is None:
            yield route
            continue
        name = _named(rule.delegate, each)
        delegate: VirtualService | None = ask("delegates", name)
        label = f"VirtualService {name[0]}/{name[1]}"
        if delegate is None:
            report.error("IST0101", f"{where}.delegate", f"{label} does not exist; create it or remove the delegate")
        elif name in path:
            report.error(DELEGATE, f"{where}.delegate", f"{label} delegates back to itself; break the loop")
        elif delegate.spec.hosts:
            report.error(DELEGATE, f"{where}.delegate", f"{label} has hosts, so it is no delegate; remove its hosts")
        elif not _sees(each, delegate):
            report.error(
                DELEGATE, f"{where}.delegate", f"{label} is not exported to {each.namespace}; set its exportTo"
            )
        else:
            yield from _opened(route, _rules(delegate, ask, settings, report, (*path, name)), label, where, report)


def _sees(each: VirtualService, delegate: VirtualService) -> bool:
    seen = visible(delegate.spec.export_to, delegate.namespace)
    return "*" in seen or each.namespace in seen


def _opened(root: Route, leaves: Iterable[Route], label: str, where: str, report: Report) -> Iterator[Route]:
    for leaf in leaves:
        matches = joined(root.matches, leaf.matches)
        if matches is None:
            text = (
                f"rule {leaf.name or '(unnamed)'} of {label} has a match outside of what leads to it, so it is left out"
            )
            report.say(CONFLICT, f"{where}.delegate", f"{text}; make its match narrower than the one here")
        else:
            yield inherit(root, leaf, matches)


def _age(each: VirtualService) -> tuple[str, ...]:
    return each.meta.creation_timestamp or "", each.namespace, each.name


def _claims(each: VirtualService, settings: Settings) -> Iterator[Claim]:
    for host in each.spec.hosts:
        yield from _claims_of(host, each, settings)


def _claims_of(host: str, each: VirtualService, settings: Settings) -> Iterator[Claim]:
    """What it takes of one of its hosts in the mesh: requests, connections. A private one only meets others of its own
    namespace."""
    spec = each.spec
    if spec.gateways and "mesh" not in spec.gateways:
        return
    name = hosts.full(host, each.namespace, settings)
    scope = "*" if not spec.export_to or "*" in spec.export_to else each.namespace
    for what, rules in (("http", spec.http), ("connections", (*spec.tls, *spec.tcp))):
        if rules:
            yield name, scope, what


def _taken(each: VirtualService, ask: Ask, settings: Settings) -> Iterator[Problem]:
    """In the mesh requests (and connections) to one host are routed by one VirtualService, the oldest; the others are
    told."""
    for host in each.spec.hosts:
        owners: list[VirtualService] = [ask("claims", claim)[0] for claim in _claims_of(host, each, settings)]
        first = next((owner for owner in owners if owner.ident != each.ident), None)
        if first is not None:
            text = f"host {host} is already routed by the older {first.namespace}/{first.name} in the mesh"
            message = f"{text}, so these rules have no effect there; join the two"
            yield Problem("IST0109", "warning", KIND, each.namespace, each.name, "spec.hosts", message)
