"""Destinations -> Upstreams for one proxy: policy merged, endpoints chosen, and the way to each decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from plait.base import wellknown
from plait.model.attachment import Labels, Target, carries
from plait.model.enforcement import decide, server_mode
from plait.model.guard import Owed, guard_of
from plait.model.http_services import HttpPort, HttpService
from plait.model.index import index_of
from plait.model.limits import LimitPolicy, narrowed
from plait.model.mesh import LoadBalancing, Workload
from plait.model.routes import Destination
from plait.model.traffic import NO_POLICY, ClientTls, Traffic, TrafficPolicy
from plait.model.views import localities
from plait.model.views.destinations import Origin, peer_of, rank
from plait.model.views.scope import Scope
from plait.model.views.upstreams import Upstream, UpstreamEndpoint, Way

UpstreamKey = tuple[str, int, str]

_LOOKED_UP = ("dns", "dns_round_robin")  # Envoy takes no second address where it looks names up


class Resolver:
    """Collects the upstreams that what a proxy is told names; each is made once."""

    def __init__(self, scope: Scope, limiting: tuple[Target, ...] = (), passed: Owed | None = None) -> None:
        """`limiting`: what this proxy enforces limits for beside the services behind it: its Gateway, its class."""
        self.scope, self._index = scope, index_of(scope.mesh)
        self._limiting, self._passed = limiting, passed
        self._made: dict[UpstreamKey, Upstream] = {}
        self.asked: set[str] = set()
        """Hosts whose destinations were resolved; with `named`, what a part of a view depends on."""
        self.named: set[UpstreamKey] = set()
        """Upstreams that were needed."""

    def part(self, passed: Owed | None = None) -> Resolver:
        """For one service: it adds to the same upstreams, and knows by itself what it was asked. At a waypoint the
        service's requests have passed these policies (see `model.guard`)."""
        made = Resolver(self.scope, self._limiting, passed)
        made._made = self._made
        return made

    def adopt(self, upstreams: Mapping[UpstreamKey, Upstream]) -> None:
        """Made for an earlier view, and the same in this one."""
        self._made.update(upstreams)

    def also(self, found: Iterable[Destination]) -> None:
        """Collect the upstreams of these; what is not there stays away, and whoever names it says so."""
        for each in found:
            self.destination(each)

    def upstreams(self) -> tuple[Upstream, ...]:
        return tuple(self._made[key] for key in sorted(self._made))

    def made(self, key: UpstreamKey) -> Upstream:
        return self._made[key]

    def destination(self, found: Destination, asked_port: int = 0) -> Destination:
        """With a port, and `broken` where nothing is there; its upstream is collected."""
        if found.broken:
            return found
        self.asked.add(found.hostname)
        service = self.scope.service(found.hostname, found.namespace)
        if service is None:
            return _broken(found, asked_port, f"host {found.hostname} does not exist or is not exported here")
        port = found.port or (service.ports[0].number if len(service.ports) == 1 else asked_port)
        if (concrete := self.scope.concrete(service)) is not service:
            self.asked.add(concrete.hostname)
            service, found = concrete, msgspec.structs.replace(found, hostname=concrete.hostname, namespace="")
        known = service.port(port)
        if known is None and service.ports:
            return _broken(found, port, f"host {found.hostname} has no port {port}")
        if found.subset:
            rule = self.scope.rule(service)
            if rule is None or rule.subset(found.subset) is None:
                return _broken(found, port, f"subset {found.subset} of {found.hostname} does not exist")
        why = self._refused(service, port) or self._unheld(service, port, found.subset) or self._bypassed(service, port)
        if why:
            return _broken(found, port, why)
        self.upstream(service, port, found.subset)
        return found if found.port == port else msgspec.structs.replace(found, port=port)

    def _refused(self, service: HttpService, port: int) -> str:
        """TLS that was asked for and cannot be had: then nothing is sent, least of all in the clear."""
        rules = self.scope.mesh.l7.backend_tls
        rule = rules.get(f"{service.key}:{port}") or rules.get(f"{service.key}:0")
        return rule.broken if rule is not None and self.scope.proxy.role == "gateway" else ""

    def _unheld(self, service: HttpService, port: int, subset: str) -> str:
        """The same of a certificate that is not beside this proxy: a Secret is shown by pods of its namespace only."""
        rule = self.scope.rule(service)
        if rule is None or self.through_waypoint(service):
            return ""
        tls = self._client_tls(rule, rule.effective(port, subset).tls)
        if tls is None or not tls.credential:
            return ""
        if tls.credential.partition("/")[0] != self.scope.proxy.namespace:
            return f"Secret {tls.credential} is of another namespace than the proxy"
        if tls.credential not in self.scope.mesh.l7.secrets:
            return f"Secret {tls.credential} does not exist"
        return ""

    def _client_tls(self, rule: Traffic, tls: ClientTls | None) -> ClientTls | None:
        """What a rule asks for, as this proxy does it.

        A sidecar shows Secrets only for rules that choose its pod, as in Istio: the others are meant for gateways.
        """
        if tls is None or not tls.credential:
            return tls
        if self.scope.proxy.role == "sidecar" and not rule.selector:
            return None
        if "/" in tls.credential:
            return tls
        return msgspec.structs.replace(tls, credential=f"{self.scope.proxy.namespace}/{tls.credential}")

    def _bypassed(self, service: HttpService, port: int) -> str:
        """Policies of other services that share these pods: who did not pass them must not get there."""
        if self._passed is None:
            return ""
        guard, known = guard_of(self.scope.mesh.l7), service.port(port) or HttpPort(port)
        lacking: set[str] = set()
        for workload in self._index.workloads_of(service.key):
            if target := _target(workload, service.key, known):
                lacking |= guard.lacking(workload, target, self._passed)
        named = ", ".join(sorted(each.replace("/", " ", 1) for each in lacking))
        return f"pods of {service.hostname} are bound by {named}, which this request does not pass" if lacking else ""

    def upstream(self, service: HttpService, port: int, subset: str = "") -> Upstream:
        key = (service.hostname, port, subset)
        self.named.add(key)
        if key not in self._made:
            self._made[key] = self._upstream(service, port, subset)
        return self._made[key]

    def passed(self, service: HttpService, port: int, subset: str) -> Upstream:
        """Where a connection goes whose TLS is not opened here: to instances whose own proxies open it. What a rule
        says of TLS and tunnels was for the client; nor is there an original destination to pass on to."""
        policy = msgspec.structs.replace(self._policy(service, port, subset), tls=None, tunnel=None, proxy_protocol="")
        if policy.balancing is not None and policy.balancing.simple == "passthrough":
            policy = msgspec.structs.replace(policy, balancing=msgspec.structs.replace(policy.balancing, simple=""))
        made = self._upstream(service, port, subset, policy)
        ends = (each for each in made.endpoints if each.way == "istio")
        plain = tuple(msgspec.structs.replace(each, way="plain", identities=()) for each in ends)
        return msgspec.structs.replace(made, protocol="tcp", resolution="workloads", endpoints=plain)

    def _upstream(self, service: HttpService, port: int, subset: str, policy: TrafficPolicy | None = None) -> Upstream:
        rule = self.scope.rule(service)
        policy = policy or self._policy(service, port, subset)
        known = service.port(port) or HttpPort(port)
        through = self.through_waypoint(service)
        upstream = Upstream(
            hostname=service.hostname,
            port=port,
            subset=subset,
            namespace=service.namespace,
            service=service.name,
            protocol=known.protocol,
            resolution=service.resolution,
            policy=policy,
            external=service.external,
            pinned=service.headless and self.scope.proxy.role == "sidecar" and not through,
            waypoint=through,
            subject_alt_names=service.subject_alt_names,
            source=f"DestinationRule/{rule.namespace}/{rule.name}" if rule is not None else "",
        )
        if through:
            # The waypoint applies the service's policy; the way there has none.
            ends = tuple(self._to_waypoint(service, port))
            return msgspec.structs.replace(
                upstream, policy=NO_POLICY, endpoints=ends, resolution="workloads", source=""
            )
        if service.alias:
            ends = (UpstreamEndpoint(service.alias, known.target or port),)
            return msgspec.structs.replace(upstream, endpoints=ends, resolution="dns", external=True)
        wanted: Labels = ()
        if subset and rule is not None and (chosen := rule.subset(subset)) is not None:
            wanted = chosen.labels
        found = [pair for pair in self._endpoints(service, known, policy) if carries(pair[1], wanted)]
        if policy.outliers is not None and policy.outliers.least_healthy_percent:
            found = [pair for pair in found if pair[0].healthy]  # in a panic Envoy takes everybody it knows of
        near = policy.balancing.locality if policy.balancing is not None else None
        if near is None and service.balancing is not None and service.balancing.preference:
            return msgspec.structs.replace(upstream, endpoints=tuple(end for end, _ in found))
        found = [(msgspec.structs.replace(end, priority=0) if end.priority else end, labels) for end, labels in found]
        near = near or self.scope.mesh.l7.settings.locality
        ends, weights = localities.ranked(found, near, policy.outliers is not None, self.scope.proxy)
        return msgspec.structs.replace(upstream, endpoints=ends, locality_weights=weights)

    def _policy(self, service: HttpService, port: int, subset: str) -> TrafficPolicy:
        rule, settings = self.scope.rule(service), self.scope.mesh.l7.settings
        policy = rule.effective(port, subset) if rule is not None else NO_POLICY
        if rule is not None and (tls := self._client_tls(rule, policy.tls)) is not policy.tls:
            policy = msgspec.structs.replace(policy, tls=tls)
        if self.scope.proxy.role == "gateway":
            special = self.scope.mesh.l7.backend_tls
            backend = special.get(f"{service.key}:{port}") or special.get(f"{service.key}:0")
            if backend is not None and not backend.broken:
                own = self.scope.mesh.l7.gateways.get(f"gateway-api/{self.scope.proxy.gateway}")
                shown = own.backend_credential if own is not None else ""
                tls = msgspec.structs.replace(backend.tls, client_credential=shown) if shown else backend.tls
                policy = msgspec.structs.replace(policy, tls=tls)
        if (settings.pool and not policy.pool) or (settings.outliers and not policy.outliers):
            pool, outliers = policy.pool or settings.pool, policy.outliers or settings.outliers
            policy = msgspec.structs.replace(policy, pool=pool, outliers=outliers)
        pool = narrowed(policy.pool, self._limits(service))
        return policy if pool is policy.pool else msgspec.structs.replace(policy, pool=pool)

    def _limits(self, service: HttpService) -> Iterator[LimitPolicy]:
        """Whose circuit breakers hold on the way from this proxy to the service."""
        proxy, targets = self.scope.proxy, self._limiting
        if proxy.role == "waypoint":
            own = Target(service.kind, service.namespace, service.name)
            mine = service.behind(proxy.gateway)
            targets = (own, *targets) if mine else ()
        for each in self.scope.mesh.l7.limits.values():
            if each.breaker is not None and each.attachment.names(*targets):
                yield each

    def through_waypoint(self, service: HttpService) -> bool:
        """Whether routes and policies of the service are the business of its waypoint, so that traffic goes there."""
        role = self.scope.proxy.role
        if role == "waypoint":
            return False
        return decide(role, server_mode("none", bool(service.waypoint)), "route").point == "waypoint"

    def _to_waypoint(self, service: HttpService, port: int) -> Iterator[UpstreamEndpoint]:
        address = service.addresses[0] if service.addresses else service.hostname
        for uid in self.scope.found.instances.get(service.waypoint, ()):
            workload = self.scope.mesh.workloads.get(uid)
            if workload is None or not workload.healthy or not workload.addresses:
                continue
            host = workload.addresses[0]
            via = f"[{host}]:{wellknown.HBONE_PORT}" if ":" in host else f"{host}:{wellknown.HBONE_PORT}"
            yield UpstreamEndpoint(
                address.partition("/")[0], port, "tunnel", (str(workload.identity),), via, peer=peer_of(workload)
            )

    def _endpoints(
        self, service: HttpService, port: HttpPort, policy: TrafficPolicy
    ) -> Iterator[tuple[UpstreamEndpoint, dict[str, str]]]:
        plain = service.external or (policy.tls is not None and policy.tls.mode != "istio_mutual")
        known = sorted(self._index.workloads_of(service.key), key=lambda w: w.uid)
        held = {address for workload in known for address in workload.addresses}
        for named in service.endpoints:
            if named.address in held:
                continue  # an address among names to look up: it stands below, with what is known of who is there
            number = next((to for of, to in named.ports if of == port.number), port.target or port.number)
            endpoint = UpstreamEndpoint(named.address, number, locality=named.locality, weight=named.weight)
            yield endpoint, dict(named.labels)
        if service.resolution == "none":
            return
        said = {named.address.lower() for named in service.endpoints}
        balancing, proxy = service.balancing or LoadBalancing(), self.scope.proxy
        origin = Origin(proxy.node, proxy.network, proxy.cluster, proxy.locality)
        for workload in known:
            target, place = _target(workload, service.key, port), rank(workload, balancing, origin)
            looked_up = service.resolution in _LOOKED_UP and workload.hostname not in said
            address = workload.addresses[0] if workload.addresses else workload.hostname if looked_up else ""
            if not target or not address or place is None:
                continue
            instance = self.scope.mesh.l7.instances.get(workload.uid)
            identities = (str(workload.identity), *service.subject_alt_names)
            way = self._way(workload, target, plain, policy)
            endpoint = UpstreamEndpoint(
                address=address,
                port=target,
                others=() if service.resolution in _LOOKED_UP else workload.addresses[1:],
                way=way,
                identities=identities if way != "plain" else (),
                locality=workload.locality or localities.NOWHERE,
                weight=1 if workload.capacity is None else workload.capacity,
                priority=place,
                healthy=workload.healthy or balancing.allow_unhealthy,
                peer=peer_of(workload),
            )
            yield endpoint, dict(instance.labels) if instance is not None else {}

    def _way(self, workload: Workload, port: int, plain: bool, policy: TrafficPolicy) -> Way:
        instance = self.scope.mesh.l7.instances.get(workload.uid)
        # An uncaptured one takes tunnels in; at the application's port the application itself listens.
        sidecar = instance is not None and instance.mode == "sidecar" and not instance.uncaptured
        if workload.tunnel == "hbone" and not sidecar:
            return "tunnel"  # whatever TLS the user asked for goes inside
        if policy.tls is not None and policy.tls.mode == "istio_mutual":
            return "istio"
        demand = self.scope.mesh.l7.peer_modes.get(workload.uid)
        refuses = demand is not None and demand.at(port) == "disable"
        refuses = refuses or (instance is not None and instance.plaintext)
        if plain or not sidecar or refuses or not self.scope.mesh.l7.settings.auto_mtls:
            return "plain"
        return "istio"


def _target(workload: Workload, service: str, port: HttpPort) -> int:
    for membership in workload.services:
        if membership.service == service:
            for each in membership.ports:
                if each.service == port.number:
                    return each.target or port.target or port.number
    return 0


def _broken(found: Destination, port: int, why: str) -> Destination:
    return msgspec.structs.replace(found, port=found.port or port, broken=why)
