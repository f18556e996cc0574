"""The API server process: joins store, keys, default objects and controllers, and listens until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ssl import SSLContext

from aiohttp import web

from plait.base import aio, collecting
from plait.base.observe import logger
from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE, NODE_AGENT_ACCOUNT
from plait.local import record
from plait.local.addresses import AddressPlan
from plait.local.layout import Layout
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store import kubeconfig
from plait.store.admission.gate import Gate
from plait.store.api import Api, ApiError, Document
from plait.store.http import Server
from plait.store.kubeconfig import Access
from plait.store.local_api import LocalApi
from plait.store.pki import Pki
from plait.store.schema.schemas import Schemas
from plait.store.storage import Storage
from plait.store.strategies.table import Context
from plait.store.streams.routes import stream_routes
from plait.store.tokens import Tokens
from plait.store.verbs import Verbs

PORT = 6443
_log = logger("apiserver")


@dataclass(frozen=True, slots=True)
class Running:
    """A listening API server: its in-process API, its keys, and the TCP ports it really has."""

    api: LocalApi
    pki: Pki
    ports: tuple[int, ...]
    verbs: Verbs


async def serve(
    layout: Layout,
    plan: AddressPlan,
    *,
    bind: Sequence[tuple[str, int]],
    controllers: bool = True,
    server: str = "",
) -> None:
    """Run until cancelled. `server` is the URL for the kubeconfig; by default what the mesh's record relays."""
    async with listening(layout, plan, bind=bind, server=server) as running:
        _log.info("serving", ports=running.ports, socket=layout.api_socket)
        aio.spawn(collecting.run(), "garbage collection")
        if not controllers:
            await asyncio.Event().wait()
        from plait.local import controllers as local_controllers

        await local_controllers.run(running.api, plan, root_ca=running.pki.ca.certificate.read_bytes())


@asynccontextmanager
async def listening(
    layout: Layout, plan: AddressPlan, *, bind: Sequence[tuple[str, int]], server: str = ""
) -> AsyncIterator[Running]:
    """The API server without controllers, listening on TCP and on the mesh's unix socket."""
    pki = Pki(layout.pki, aio.now())
    own = (*plan.wires.addresses(plan.control), *plan.addresses(plan.api_service))
    hosts = [*map(str, own), *(host for host, _ in bind)]
    storage = Storage(layout.database)
    try:
        tokens = Tokens(pki.token_key, storage.state)
        gate = Gate(storage.state)
        context = Context(storage.state, plan.each(plan.services))
        verbs = Verbs(storage, Schemas(), clock=aio.now, admission=gate, context=context)
        api = LocalApi(verbs, tokens, aio.now)
        streams = stream_routes(layout.kubelet_socket, storage.state)
        face = Server(verbs, tokens, clock=aio.now, streams=streams, address=f"{plan.control}:{PORT}")
        await _defaults(api, plan)
        runner = web.AppRunner(face.application, access_log=None, shutdown_timeout=1.0, keepalive_timeout=3600)
        await runner.setup()
        try:
            ports = await _listen(runner, layout, bind, pki.server_context(hosts))
            _credentials(layout, pki, server or _relayed(layout) or f"https://{bind[0][0]}:{ports[0]}")
            yield Running(api, pki, ports, verbs)
        finally:
            face.closing.set()
            storage.watches.close_all()
            await gate.close()
            await runner.cleanup()
            layout.api_socket.unlink(missing_ok=True)
    finally:
        storage.close()


async def _listen(
    runner: web.AppRunner, layout: Layout, bind: Sequence[tuple[str, int]], tls: SSLContext
) -> tuple[int, ...]:
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # failed TLS handshakes are the caller's problem
    layout.api_socket.unlink(missing_ok=True)
    await web.UnixSite(runner, layout.api_socket, ssl_context=tls).start()
    layout.api_socket.chmod(0o600)
    ports = []
    for host, port in bind:
        await web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024).start()
        ports.append(int(runner.addresses[-1][1]))
    return tuple(ports)


def _relayed(layout: Layout) -> str:
    """The address on which the supervisor relays to our socket, when this mesh has a supervisor."""
    try:
        found = record.load(layout)
    except ValueError:
        return ""
    return f"https://127.0.0.1:{found.port}" if found else ""


def _credentials(layout: Layout, pki: Pki, server: str) -> None:
    """The administrator's kubeconfig, and one for each node of the mesh."""
    ca, admin = pki.ca.certificate.read_bytes(), pki.admin()
    access = Access(server, ca, admin.certificate.read_bytes(), admin.key.read_bytes())
    kubeconfig.write(layout.kubeconfig, kubeconfig.document(f"plait-{layout.name}", access))
    try:
        found = record.load(layout)
    except ValueError:
        found = None
    for name in found.nodes if found else ():
        pair = pki.node(name)
        access = Access(server, ca, pair.certificate.read_bytes(), pair.key.read_bytes())
        kubeconfig.write(layout.node(name) / "kubeconfig", kubeconfig.document(name, access))


def _default_objects(plan: AddressPlan) -> list[tuple[Kind, Document]]:
    def named(name: str, namespace: str = "", **labels: str) -> Document:
        meta: Document = {"name": name} | ({"namespace": namespace} if namespace else {})
        return {"metadata": meta | ({"labels": labels} if labels else {})}

    def role(name: str, *rules: Document) -> tuple[Kind, Document]:
        return kinds.CLUSTER_ROLE, {**named(name), "rules": list(rules)}

    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    reading = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    binding = {
        **named("cluster-admin"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:masters"}],
    }
    port = {"name": "https", "port": PORT, "protocol": "TCP"}
    service = named("kubernetes", "default", component="apiserver", provider="kubernetes")
    service["spec"] = {
        "type": "ClusterIP",
        "clusterIP": str(plan.first(plan.api_service)),
        "ports": [{**port, "port": 443, "targetPort": PORT}],
    }
    endpoints = named("kubernetes", "default", **{"endpointslice.kubernetes.io/skip-mirror": "true"})
    address = plan.first(plan.control)
    endpoints["subsets"] = [{"addresses": [{"ip": str(address)}], "ports": [port]}]
    slice_ = named("kubernetes", "default", **{"kubernetes.io/service-name": "kubernetes"})
    slice_ |= {"addressType": f"IPv{address.version}", "ports": [port]}
    slice_["endpoints"] = [{"addresses": [str(address)], "conditions": {"ready": True}}]
    namespaces = ("default", "kube-system", "kube-public", "kube-node-lease", "istio-system")
    return [
        *((kinds.NAMESPACE, named(name)) for name in namespaces),
        (kinds.SERVICE_ACCOUNT, named(NODE_AGENT_ACCOUNT, DEFAULT_ROOT_NAMESPACE)),
        role("cluster-admin", everything, {"nonResourceURLs": ["*"], "verbs": ["*"]}),
        role("admin", everything),
        role("edit", everything),
        role("view", reading),
        (kinds.CLUSTER_ROLE_BINDING, binding),
        (kinds.SERVICE, service),
        (kinds.ENDPOINTS, endpoints),
        (kinds.ENDPOINT_SLICE, slice_),
    ]


async def _defaults(api: Api, plan: AddressPlan) -> None:
    """Create what every cluster has; what a user changed since stays changed."""
    for kind, document in _default_objects(plan):
        try:
            await api.create(kind, document)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
