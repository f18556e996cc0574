"""requests(mesh, service, called): the requests that what is bound to a service tells apart.

A path, method and header for each that a policy or route names, and one that none names. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from typing import Final

from plait.diagnose.binding import Called
from plait.diagnose.requests import Request
from plait.model.attachment import Target
from plait.model.guard import waypoint_targets
from plait.model.http_security import HttpPolicy, PathText
from plait.model.http_services import HttpService
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.routes import Match, PathMatch
from plait.model.views.scope import Scope

_MOST: Final = 60
"""Requests to one service: a product of many paths, methods and headers is cut off here."""
Headers = tuple[tuple[str, str], ...]


def requests(mesh: Mesh, service: HttpService, called: tuple[Called, ...]) -> Iterator[Request]:
    """`/-` is the path that nothing names."""
    policies = tuple(_policies(mesh, service, called))
    paths = dict.fromkeys(["/", "/-"])
    methods = dict.fromkeys(["GET"])
    headers: dict[Headers, None] = {(): None}
    for policy in policies:
        for rule in policy.rules:
            for operation in rule.operations:
                paths.update(dict.fromkeys(map(_path, (*operation.paths, *operation.not_paths))))
                methods.update(dict.fromkeys(t.value for t in (*operation.methods, *operation.not_methods) if t.value))
            for condition in rule.conditions:
                if condition.attribute == "header":
                    values = (*condition.texts, *condition.not_texts)
                    headers.update(dict.fromkeys(((condition.name.lower(), text.value),) for text in values))
    for match in _matches(mesh, service):
        if match.path is not None and (path := _routed(match.path)):
            paths[path] = None
        if match.method is not None and match.method.how == "exact":
            methods[match.method.value] = None
        for field in match.headers:
            headers[((field.name.lower(), field.value.value),)] = None
    every = product(paths, methods, headers)
    for path, method, sent in islice(every, _MOST):
        yield Request(method, path, service.hostname, headers=sent)


def _policies(mesh: Mesh, service: HttpService, called: tuple[Called, ...]) -> Iterator[HttpPolicy]:
    targets = Target(service.kind, service.namespace, service.name), *waypoint_targets(mesh.l7, service.waypoint)
    labels = [(each.workload.namespace, dict(mesh.l7.instances[each.workload.uid].labels)) for each in called]
    for policy in mesh.l7.authorization.values():
        attachment = policy.attachment
        if attachment.names(*targets) or any(attachment.selects(*each) for each in labels):
            yield policy


def _matches(mesh: Mesh, service: HttpService) -> Iterator[Match]:
    seen = Scope(mesh, Proxy("sidecar", service.namespace, ""))
    for port in service.ports:
        for routing in seen.attached(service, port.number) or filter(None, [seen.routing(service.hostname)]):
            for route in routing.http:
                yield from route.matches


def _path(text: PathText) -> str:
    """One that the test holds for."""
    match text.how:
        case "exact":
            return text.value
        case "prefix":
            return f"{text.value}-"
        case "suffix":
            return text.value if text.value.startswith("/") else f"/-{text.value}"
        case "template":
            return text.value.replace("{**}", "a/b").replace("{*}", "a")
        case _:
            return "/"


def _routed(match: PathMatch) -> str:
    """One that the match holds for, "" when that would have to be guessed."""
    match match.how:
        case "exact" | "segments":
            return match.value
        case "prefix":
            return f"{match.value}-"
        case _:
            return ""
