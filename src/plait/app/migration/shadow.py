"""verdicts(mesh, scope): how requests to what moves are judged, by the product's own pure functions.

Requests are those of `corpus`, clients one for each identity and mode. No request is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from plait.app.migration.corpus import requests
from plait.app.migration.plan import Scope, inside, services_of
from plait.diagnose.binding import Called
from plait.diagnose.explain import client_mode, explain
from plait.diagnose.requests import Request
from plait.model.http_services import HttpService
from plait.model.mesh import Mesh, Workload

_CLIENTS: Final = 12


class Difference(Struct, frozen=True):
    """One request that two worlds judge differently. "" in `before` or `after`: it was not asked there."""

    request: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.request}: {self.before or 'not asked'} before, {self.after or 'not asked'} after"


def verdicts(mesh: Mesh, scope: Scope) -> dict[str, str]:
    """ "CLIENT -> SERVER METHOD PATH [headers]" -> the verdict, and the route that takes it."""
    moving = {uid: each for uid, each in inside(mesh, scope).items() if each.healthy}  # who goes is not in any mode
    found: dict[str, set[str]] = {}
    for service in services_of(mesh, moving.values()):
        for port in service.ports:
            called = tuple(_called(service, port.number, moving.values()))
            if port.protocol == "udp" or not called:
                continue
            for name, client in _clients(mesh, moving):
                for request in requests(mesh, service, called):
                    words = f"{name} -> {service.namespace}/{service.name}:{port.number} {_words(request)}"
                    found.setdefault(words, set()).update(_said(mesh, client, called, request))
    return {words: ", ".join(sorted(said)) for words, said in found.items()}


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    """Requests that both know and judge differently; a client that is only in one world says nothing."""
    return tuple(
        Difference(words, before[words], after[words])
        for words in sorted(before.keys() & after.keys())
        if before[words] != after[words]
    )


def _said(mesh: Mesh, client: Workload, called: tuple[Called, ...], request: Request) -> set[str]:
    said = set()
    for each in explain(mesh, client, called, request):
        allowed = each.verdict.allowed if each.verdict is not None else None
        word = {True: "allowed", False: "refused", None: "it depends"}[allowed]
        said.add(f"{word}, route: {each.route}" if each.route and allowed is not False else word)
    return said


def _words(request: Request) -> str:
    headers = "".join(f" {name}: {value}" for name, value in request.headers)
    return f"{request.method} {request.path}{headers}"


def _called(service: HttpService, port: int, moving: Iterable[Workload]) -> Iterator[Called]:
    for workload in moving:
        for membership in workload.services:
            if membership.service == service.key:
                for each in membership.ports:
                    if each.service == port:
                        yield Called(workload, service, port, each.target or port)


def _clients(mesh: Mesh, moving: Mapping[str, Workload]) -> Iterator[tuple[str, Workload]]:
    """One for each identity; who stays where it is also by its mode."""
    seen: dict[str, Workload] = {}
    for uid, workload in sorted(mesh.workloads.items()):
        instance = mesh.l7.instances.get(uid)
        gateway = mesh.l7.gateways.get(f"gateway-api/{instance.gateway}") if instance is not None else None
        if instance is None or not workload.healthy or (gateway is not None and gateway.waypoint):
            continue  # a waypoint calls for others
        mode = "moving" if uid in moving else client_mode(mesh, workload)
        seen.setdefault(f"{workload.namespace}/{workload.service_account or 'default'} ({mode})", workload)
    yield from islice(seen.items(), _CLIENTS)
