"""VirtualService -> Routing: hosts, gateways, delegates. What a rule says is in `virtualservice_http` and `_l4`.

A delegate's rules take the place of the rule that names it, with both matches joined. A broken rule is a problem and
is left out; a delegate that is missing, or comes back to itself, leaves out that rule only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from plait.model import hostnames as hosts
from plait.model.compile.memory import Memory
from plait.model.compile.traffic import virtualservice_http, virtualservice_l4
from plait.model.compile.traffic.delegates import inherit, joined
from plait.model.compile.traffic.report import CONFLICT, DELEGATE, Report
from plait.model.compile.traffic.visibility import EVERYBODY, visible
from plait.model.mesh import Settings
from plait.model.routes import Parent, Route, Routing
from plait.resources.networking.virtual_service import Delegate, VirtualService
from plait.resources.problems import Problem

KIND = "VirtualService"
Name = tuple[str, str]


def routings(
    found: Mapping[Name, VirtualService],
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
    exports: tuple[str, ...] = EVERYBODY,
) -> Iterator[Routing]:
    """One routing for each VirtualService with hosts."""
    roots = [each for each in found.values() if each.spec.hosts]
    problems.extend(_taken(roots, settings))
    for each in roots:
        reached = tuple(_reached(each, found))
        make = partial(_routing, each, found, settings, exports)
        routing, said = memory.made(("virtualservice", each.ident), each, make, reached, exports)
        problems.extend(said)
        yield routing


def _reached(each: VirtualService, found: Mapping[Name, VirtualService]) -> Iterator[tuple[Name, Any]]:
    """Every delegate this one leads to, also missing ones: what the result depends on."""
    waiting, seen = [each], {each.ident}
    while waiting:
        current = waiting.pop()
        for rule in current.spec.http:
            if rule.delegate is not None and (name := _named(rule.delegate, current)) not in seen:
                seen.add(name)
                delegate = found.get(name)
                yield name, delegate
                if delegate is not None:
                    waiting.append(delegate)


def _named(delegate: Delegate, owner: VirtualService) -> Name:
    return delegate.namespace or owner.namespace, delegate.name


def _routing(
    each: VirtualService, found: Mapping[Name, VirtualService], settings: Settings, exports: tuple[str, ...]
) -> tuple[Routing, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    routing = Routing(
        kind=KIND,
        namespace=each.namespace,
        name=each.name,
        hosts=tuple(hosts.full(host, each.namespace, settings) for host in spec.hosts),
        parents=tuple(_parents(each)),
        http=tuple(_rules(each, found, settings, report, (each.ident,))),
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
    found: Mapping[Name, VirtualService],
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
        delegate = found.get(name)
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
            yield from _opened(route, _rules(delegate, found, settings, report, (*path, name)), label, where, report)


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


def _taken(roots: Iterable[VirtualService], settings: Settings) -> Iterator[Problem]:
    """In the mesh requests (and connections) to one host are routed by one VirtualService, the oldest; the others are
    told."""
    owners: dict[tuple[str, str, str], VirtualService] = {}
    for each in sorted(roots, key=lambda v: (v.meta.creation_timestamp or "", v.namespace, v.name)):
        if each.spec.gateways and "mesh" not in each.spec.gateways:
            continue
        public = not each.spec.export_to or "*" in each.spec.export_to
        for host in each.spec.hosts:
            name = hosts.full(host, each.namespace, settings)
            # A private one only meets others of its own namespace.
            scope = "*" if public else each.namespace
            kinds = (("http", each.spec.http), ("connections", (*each.spec.tls, *each.spec.tcp)))
            found = [owners.setdefault((name, scope, kind), each) for kind, rules in kinds if rules]
            first = next((other for other in found if other is not each), None)
            if first is not None:
                text = f"host {host} is already routed by the older {first.namespace}/{first.name} in the mesh"
                message = f"{text}, so these rules have no effect there; join the two"
                yield Problem("IST0109", "warning", KIND, each.namespace, each.name, "spec.hosts", message)
