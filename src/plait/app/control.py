"""The control plane: informers feed the pipeline, 15012 serves discovery and certificates, 15014 tells how it is.

The API server may be late or away: the last compiled world is served all the same. Streams are served from the moment
when every kind has been read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import grpc
from cryptography.x509 import random_serial_number

from plait.app import certificates, gateway_reading, placed, revocation, trusting
from plait.app.allocation_controller import AllocationController
from plait.app.discovery import Discovery
from plait.app.injection import configured
from plait.app.leaving import Leaving
from plait.app.measured import Measured, judged
from plait.app.pipeline import READ, Pipeline
from plait.app.placed import Placed
from plait.app.proxy_caches import ROLES, ProxyCaches, UnknownProxy, named
from plait.app.readable import Readable
from plait.app.rehearsals import Rehearsals
from plait.app.rotation import Rotation
from plait.app.serving import ServingCertificate
from plait.app.status import StatusServer
from plait.app.status_writer import StatusWriter
from plait.app.telling.kept import Kept
from plait.app.waypoints import Waypoints
from plait.app.webhooks import Webhooks
from plait.base import aio, collecting
from plait.base.observe import logger
from plait.base.wellknown import (
    DEFAULT_ROOT_NAMESPACE,
    EAGER,
    NODE_AGENT_ACCOUNT,
    STATUS_PORT,
    WEBHOOK_PORT,
    XDS_TLS_PORT,
)
from plait.envoy.l7.options import Options
from plait.identity import external
from plait.identity.custody import Custody
from plait.identity.external import Issuer
from plait.identity.service import CertificateService
from plait.identity.tokens import NotAuthenticated, Tokens
from plait.identity.trust import Trust
from plait.inject.injector import Config
from plait.local.addresses import AddressPlan
from plait.local.layout import Layout
from plait.local.record import load
from plait.model import autoallocation
from plait.model.compile.traffic.request_authentication import undiscovered
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError
from plait.store.client import HttpApi
from plait.store.informer import Handler, Informer
from plait.xds.cache import Cache
from plait.xds.messages import Request
from plait.xds.server import Denied, Peer, Server

_log = logger("control")
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


async def serve(layout: Layout, plan: AddressPlan, *, settings: Settings | None = None) -> None:
    """Run until cancelled."""
    settings = settings or Settings(ranges=plan.ranges, activator=str(plan.first(plan.control)))
    while not (layout.kubeconfig.exists() and layout.api_socket.exists()):
        await asyncio.sleep(0.01)
    custody = Custody(layout.mesh_ca, settings.trust_domain, aio.now(), random_serial_number())
    issuer = external.configured(layout.mesh_ca)
    async with HttpApi.from_kubeconfig(layout.kubeconfig, socket=layout.api_socket) as api:
        readable, record = Readable(layout.readable), load(layout)
        control = Control(
            api,
            custody.trust,
            settings,
            custody=custody,
            issuer=issuer,
            proxies=str(layout.proxies),
            readable=readable,
            kept=Kept(layout.telling),
            issuers=layout.providers,
            eager=record.eager if record is not None else EAGER,
        )
        try:
            await control.start(str(plan.control), (plan.control,))
            await asyncio.Event().wait()
        finally:
            await control.close()


class Control:
    """One control plane over one API server."""

    def __init__(
        self,
        api: HttpApi,
        root: Trust,
        settings: Settings,
        *,
        custody: Custody | None = None,
        issuer: Issuer | None = None,
        proxies: str = "/var/lib/plait/proxies",
        readable: Readable | None = None,
        kept: Kept | None = None,
        issuers: Path | None = None,
        eager: int = EAGER,
    ) -> None:
        """`custody` is a trust that may change while we run; without it `root` stays.

        `proxies` is the folder of each node in which the L7 proxies have theirs. `eager`: up to how many upstreams a
        sidecar has all their clusters before anybody asks. `issuers` is the file of what issuers of tokens said last.
        """
        self._api = api
        self._trust: Callable[[], Trust] = (lambda: custody.trust) if custody is not None else (lambda: root)
        self.pipeline = Pipeline(settings, readable=readable, kept=kept)
        self.proxies = ProxyCaches(
            lambda: self.pipeline.told,
            lambda name: certificates.served(name, self.pipeline.objects),
            entitled=lambda namespace, pod: self._placed.entitled(namespace, pod),
            options=Options(eager=eager),
        )
        self.pipeline.on_mesh, self.pipeline.l7 = self.proxies.changed, self.proxies.served
        self._informers = {kind: Informer(api, kind, indexers=_indexers(kind)) for kind in READ}
        pods, namespaces = self._informers[kinds.POD], self._informers[kinds.NAMESPACE]
        self._leaving = Leaving(pods, namespaces, self.pipeline, lambda: (self.pipeline.cache, *self.proxies.served()))
        for kind, informer in self._informers.items():
            if kind is not kinds.ENVOY_FILTER:
                informer.on_change(_feeding(self.pipeline, kind, self._leaving))
        self._rehearsals = Rehearsals(self.pipeline, settings)
        self._informers[kinds.ENVOY_FILTER].on_change(self._rehearsals.changed)
        self.waypoints = Waypoints(api, self._informers, proxies, settings.activator, settings.root_namespace)
        self.gateways = self.waypoints.gateways
        self.statuses = StatusWriter(api, self.pipeline, self._informers, measured=self._measured)
        self._discovery = Discovery(self.pipeline.discovered, lambda: self.pipeline.mesh, issuers)
        self.pipeline.on_compiled = self._compiled
        injection = Config(proxies, root_namespace=settings.root_namespace)
        self.webhooks = Webhooks(api, self._trust, injection, self._injection, self._leaving.hold)
        self._allocation = AllocationController(
            api, self._informers[kinds.SERVICE_ENTRY], autoallocation.ranges(settings.ranges)
        )
        self._revoked: frozenset[str] = frozenset()
        self._lists = Informer(api, kinds.CONFIG_MAP, fields=f"metadata.name={revocation.CONFIG_MAP}")
        self._lists.on_change(lambda old, new: self._revoke(settings.root_namespace))
        tokens = Tokens(self._review, asyncio.get_running_loop().time)
        self._placed = Placed(pods, self.gateways.claim)
        self._tokens = tokens
        self._certificates = CertificateService(
            self._trust,
            tokens,
            self._placed,
            trust_domain=settings.trust_domain,
            signed=custody.signed if custody is not None else lambda lifetime: None,
            issuer=issuer,
            revoked=lambda identity: identity in self._revoked,
        )
        self._rotation = self._rotating(custody) if custody is not None else None
        self._server = Server(self._connect, services=(self._certificates.handler(),))
        self._status = StatusServer(self.pipeline, self._server, self._certificates)
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(
        self,
        host: str,
        addresses: Sequence[IPv4Address | IPv6Address],
        *,
        port: int = XDS_TLS_PORT,
        status_port: int = STATUS_PORT,
        webhook_port: int = WEBHOOK_PORT,
    ) -> tuple[int, int]:
        """Returns the ports really bound (for port 0)."""
        self._tasks = [aio.spawn(i.run(), f"informer {kind}") for kind, i in self._informers.items()]
        bound_status = await self._status.start(host, status_port)
        self._tasks.append(aio.spawn(self._lists.run(), "informer of revoked identities"))
        await asyncio.gather(*(i.synced.wait() for i in (*self._informers.values(), self._lists)))
        await self._rehearsals.settled()
        self.pipeline.open()
        self._tasks.append(aio.spawn(collecting.run(lambda: self.pipeline.idle), "garbage collection"))
        self._tasks.append(aio.spawn(self.statuses.run(), "status writer"))
        self._tasks.append(aio.spawn(self.waypoints.run(), "gateways"))
        (bound,) = await self._server.start(f"{host}:{port}", credentials=_Credentials(self._trust, addresses).server())
        self._tasks.append(aio.spawn(self._allocation.run(), "addresses of service entries"))
        if self._rotation is not None:
            self._tasks.append(aio.spawn(self._rotation.run(), "rotation of the root"))
        await self.webhooks.start(host, addresses, webhook_port)
        self._tasks.append(aio.spawn(self.webhooks.run(), "webhooks"))
        self._status.ready = True
        _log.info("serving", port=bound, status=bound_status, workloads=len(self.pipeline.mesh.workloads))
        return bound, bound_status

    def _compiled(self) -> None:
        self.statuses.compiled()
        self._discovery.wanted(undiscovered(self.pipeline.objects.of(kinds.REQUEST_AUTHENTICATION).values()))

    def _measured(self) -> Mapping[tuple[str, str], Measured]:
        return judged(self.gateways.measured(), self.proxies.refused())

    def _injection(self, config: Config) -> Config:
        """With what the mesh's ConfigMaps and ProxyConfigs say now."""
        return configured(self.pipeline.objects, self.pipeline.mesh.settings.root_namespace, config)

    def _revoke(self, root_namespace: str) -> None:
        self._revoked = revocation.identities(self._lists.get(revocation.CONFIG_MAP, root_namespace))
        self.pipeline.adopt(revocation.policies(self._revoked, root_namespace))

    def _rotating(self, custody: Custody) -> Rotation:
        nodes = self._informers[kinds.NODE]
        return Rotation(
            custody,
            lambda resources: self.pipeline.beside(trusting.ROOTS, resources),
            lambda: [name for _, name in nodes.cache],
            self.pipeline.cache.statistics,
            lambda: custody.longest,
        )

    async def close(self) -> None:
        await self._server.stop(0)
        await self.webhooks.close()
        await self._leaving.close()
        await self._status.close()
        await self._rehearsals.close()
        await self._discovery.close()
        await aio.cancel(*self._tasks)

    async def _review(self, token: str, audiences: tuple[str, ...]) -> Mapping[str, Any]:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": list(audiences)},
        }
        answer = await self._api.call("POST", _REVIEWS, body)
        status: Mapping[str, Any] = answer.get("status", {})
        return status

    async def _connect(self, peer: Peer, request: Request) -> Cache:
        """Node agents: the whole mesh for themselves, and what each L7 proxy of their node is told."""
        try:
            caller = await self._tokens.authenticate(peer.metadata.get("authorization", ""))
        except NotAuthenticated as error:
            raise Denied("UNAUTHENTICATED", str(error)) from error
        except (ApiError, ConnectionError) as error:
            raise Denied("UNAVAILABLE", f"the token cannot be checked now: {error}") from error
        if (caller.namespace, caller.service_account) != (DEFAULT_ROOT_NAMESPACE, NODE_AGENT_ACCOUNT):
            who = f"{caller.namespace}/{caller.service_account}"
            wanted = f"{DEFAULT_ROOT_NAMESPACE}/{NODE_AGENT_ACCOUNT}"
            raise Denied("PERMISSION_DENIED", f"{who} is no node agent (service account {wanted})")
        node_id = request.node.id if request.node is not None else ""
        if node_id.partition("~")[0] not in ROLES:
            return self.pipeline.cache
        try:
            role, namespace, pod = named(node_id)
            if caller.node and not self._placed.known(namespace, pod):
                raise Denied("UNAVAILABLE", f"no pod {namespace}/{pod} is known yet")
            if not self._placed.on(caller.node, namespace, pod):
                raise Denied(
                    "PERMISSION_DENIED", f"pod {namespace}/{pod} does not run on node {caller.node or '(none)'}"
                )
            return await self.proxies.connect(role, namespace, pod)
        except UnknownProxy as error:
            raise Denied("UNAVAILABLE", str(error)) from error


class _Credentials:
    """The TLS certificate of 15012 as gRPC wants it."""

    def __init__(self, trust: Callable[[], Trust], addresses: Sequence[IPv4Address | IPv6Address]) -> None:
        self._certificate = ServingCertificate(trust, addresses)

    def server(self) -> grpc.ServerCredentials:
        return grpc.dynamic_ssl_server_credentials(self._issue(), self._renewed)

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        return self._issue() if self._certificate.outdated else None

    def _issue(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([self._certificate.issue()])


def _indexers(kind: Kind) -> Mapping[str, Any]:
    if kind is kinds.ENDPOINT_SLICE:
        return {gateway_reading.SERVICE_INDEX: gateway_reading.slice_service}
    pods = {"account": placed.account, gateway_reading.POD_INDEX: gateway_reading.pod_gateway}
    return pods if kind is kinds.POD else {}


def _feeding(pipeline: Pipeline, kind: Kind, leaving: Leaving) -> Handler:
    if kind is kinds.POD:
        return lambda old, new: pipeline.changed(kind, old, leaving.seen(new))
    return lambda old, new: pipeline.changed(kind, old, new)
