"""Scope: which services, routes and rules one proxy sees (exportTo, Sidecar), and which of several rules counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plait.model.attachment import carries
from plait.model.hostnames import overlap
from plait.model.http_services import HttpService
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.routes import Parent, Routing
from plait.model.sidecars import Egress, HostFilter, SidecarScope
from plait.model.traffic import Traffic
from plait.model.views.lookup import Lookup, lookup


def sees(visible: tuple[str, ...], namespace: str) -> bool:
    return "*" in visible or namespace in visible


class Scope:
    """Everything is asked as this proxy. Gateways and waypoints have no Sidecar, so exportTo alone binds them."""

    def __init__(self, mesh: Mesh, proxy: Proxy) -> None:
        """Cheap for a Mesh that was looked up in, or whose predecessor was (`lookup.carried`)."""
        self.mesh, self.proxy = mesh, proxy
        self.found: Lookup = lookup(mesh.l7)
        self.sidecar = self._sidecar() if proxy.role == "sidecar" else None
        if proxy.uncaptured:
            self.sidecar = (self.sidecar or SidecarScope("", proxy.namespace)).unredirected()
        self._filters = _filters(self.sidecar)
        self._resolved: dict[tuple[str, str], HttpService | None] = {}
        self._rules: dict[tuple[str, str], Traffic | None] = {}

    def _sidecar(self) -> SidecarScope | None:
        labels = self.proxy.tags
        for scope in self.found.scopes.get(self.proxy.namespace, ()):
            if carries(labels, scope.selector):
                return scope
        root = self.found.scopes.get(self.mesh.settings.root_namespace, ())
        return next((scope for scope in root if not scope.selector), None)

    def services(self) -> Iterable[HttpService]:
        """Visible services, one for each hostname."""
        for hostname in self.found.services:
            service = self.service(hostname)
            if service is not None and self.reaches(service):
                yield service

    def service(self, hostname: str, namespace: str = "") -> HttpService | None:
        """The service of this name as the proxy sees it: of its own namespace before others."""
        key = hostname, namespace
        if key not in self._resolved:
            own = self.proxy.namespace
            candidates = [
                each
                for each in self.found.services.get(hostname, ())
                if sees(each.visible, own) and namespace in ("", each.namespace)
            ]
            self._resolved[key] = min(candidates, key=lambda s: s.namespace != own) if candidates else None
        return self._resolved[key]

    def concrete(self, service: HttpService) -> HttpService:
        """What an ExternalName service stands for, where the mesh has that; else itself."""
        return (self.service(service.alias) if service.alias else None) or service

    def aliases(self, service: HttpService) -> Iterator[str]:
        """Further names of a service: ExternalName services that stand for it, and have no routes of their own."""
        for each in self.found.aliases.get(service.hostname, ()):
            if self.service(each.hostname) is each and self.reaches(each) and not self.own_routes(each):
                yield each.hostname

    def own_routes(self, service: HttpService) -> bool:
        routing = self.routing(service.hostname)
        return routing is not None and service.hostname in routing.hosts

    def reaches(self, service: HttpService, port: int = 0) -> bool:
        """Whether the Sidecar's egress lets it be seen, on this port of it."""
        if self._filters is None:
            return True
        return any(0 in (port, at) or port == at for each, at in self._filters if _lets(each, service))

    def captures(self, service: HttpService, port: int) -> bool:
        """Whether it is reached by its own addresses on this port: by a listener that has no place of its own."""
        if self.sidecar is None or self.sidecar.egress is None:
            return True
        shared = (each for each in self.sidecar.egress if not each.own and each.port in (0, port))
        return any(_lets(filter_, service) for each in shared for filter_ in each.hosts)

    def chosen(self, egress: Egress) -> Iterator[HttpService]:
        """What one listener reaches."""
        for service in self.services():
            if any(_lets(each, service) for each in egress.hosts):
                yield service

    def routing(self, hostname: str, namespace: str = "", *, http: bool = True) -> Routing | None:
        """The VirtualService with rules for requests (or connections) to a host in the mesh: of the most specific host,
        then the oldest. `namespace`: as seen from another than the proxy's."""
        for host in (hostname, *(w for w in self.found.wild if hostname.endswith(w[1:]))):
            if (routing := self.routed(host, namespace, http=http)) is not None:
                return routing
        return None

    def routed(self, host: str, namespace: str = "", *, http: bool = True) -> Routing | None:
        """The one that has this very host, or wildcard."""
        for routing in self.found.in_mesh.get(host, ()):
            rules = routing.http if http else (*routing.tls, *routing.tcp)
            if rules and sees(routing.visible, namespace or self.proxy.namespace) and self._imports(routing):
                return routing
        return None

    def _imports(self, routing: Routing) -> bool:
        """Whether the Sidecar's egress has the VirtualService: its hosts name namespaces of these too."""
        if self._filters is None or routing.kind != "VirtualService":
            return True
        return any(
            each.namespace in ("*", routing.namespace) and any(overlap(each.host, host) for host in routing.hosts)
            for each, _ in self._filters
        )

    def attached(self, service: HttpService, port: int) -> list[Routing]:
        """Gateway API routes of a service: the consumer's own before the producer's.

        A waypoint is no consumer: it has the routes of its callers' namespaces from `consumers`.
        """
        own = self.consumers(service, port).get(self.proxy.namespace) if self.proxy.role != "waypoint" else None
        return own or self.produced(service, port)

    def connecting(self, service: HttpService, port: int) -> list[Routing]:
        """Those of them that have rules for connections."""
        return [each for each in self.attached(service, port) if each.tls or each.tcp]

    def produced(self, service: HttpService, port: int) -> list[Routing]:
        """Routes of the Gateway API that hold for every caller."""
        return [routing for routing, parent in self._parents(service, port) if parent.producer]

    def consumers(self, service: HttpService, port: int) -> dict[str, list[Routing]]:
        """Routes that other namespaces than the service's have for their own requests to it, by namespace."""
        found: dict[str, list[Routing]] = {}
        for routing, parent in self._parents(service, port):
            if not parent.producer:
                found.setdefault(routing.namespace, []).append(routing)
        return found

    def _parents(self, service: HttpService, port: int) -> Iterator[tuple[Routing, Parent]]:
        for routing in self.found.by_service.get(service.key, ()):
            parent = next((p for p in routing.parents if p.key == service.key and p.port in (0, port)), None)
            if parent is not None:
                yield routing, parent

    def rule(self, service: HttpService) -> Traffic | None:
        """The DestinationRule for a service: the client namespace's, the service's, the root's."""
        key = service.hostname, service.namespace
        if key not in self._rules:
            self._rules[key] = self._rule(service)
        return self._rules[key]

    def _rule(self, service: HttpService) -> Traffic | None:
        own, labels = self.proxy.namespace, self.proxy.tags
        for namespace in dict.fromkeys((own, service.namespace, self.mesh.settings.root_namespace)):
            found = [rule for rule in self.found.traffic_of(namespace, service.hostname) if sees(rule.visible, own)]
            chosen = [r for r in found if r.selector and namespace == own and carries(labels, r.selector)]
            chosen += [r for r in found if not r.selector]
            if chosen:
                return chosen[0]
        return None


def _filters(scope: SidecarScope | None) -> tuple[tuple[HostFilter, int], ...] | None:
    """Hosts, each with the port it is reachable on; 0 is all."""
    if scope is None or scope.egress is None:
        return None
    return tuple((each, 0 if egress.proxy else egress.port) for egress in scope.egress for each in egress.hosts)


def _lets(each: HostFilter, service: HttpService) -> bool:
    if each.namespace not in ("*", service.namespace):
        return False
    return each.host in ("*", service.hostname) or (
        each.host.startswith("*") and service.hostname.endswith(each.host[1:])
    )
