"""What L7 proxies are told, over gRPC from the control process on the real embedded API server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import grpc

from kit import apiserver
from kit import documents as d
from plait.app.control import Control
from plait.base import aio
from plait.base import type_urls as xds
from plait.base.bundle import Resource
from plait.identity import trust
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.xds.client import Client
from plait.xds.messages import Node

TYPES = (xds.CLUSTER, xds.LISTENER)


class Told:
    """One stream in the name of a proxy: names by type, and the last refusal."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {url: set() for url in TYPES}
        self.news, self.why = asyncio.Event(), ""

    def on_delta(self, url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        self.names[url] = (self.names[url] | {each.name for each in resources}) - set(removed)
        self.news.set()

    def on_state(self, connected: bool, why: str) -> None:
        self.why = why
        self.news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.news.clear()
            await self.news.wait()


async def node_token(cluster: apiserver.Cluster, node: str) -> str:
    """As the agent of this node asks for it."""
    api = cluster.http
    for kind, document, where in (
        (kinds.NAMESPACE, d.document("v1", "Namespace", "istio-system"), ""),
        (kinds.NAMESPACE, d.document("v1", "Namespace", "shop"), ""),
        (kinds.SERVICE_ACCOUNT, d.document("v1", "ServiceAccount", "ztunnel", "istio-system"), "istio-system"),
        (kinds.NODE, d.document("v1", "Node", node), ""),
    ):
        try:
            await api.create(kind, document, where)
        except Exception as error:
            assert "exists" in str(error), error
    uid = (await api.get(kinds.NODE, node))["metadata"]["uid"]
    bound = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600, "boundObjectRef": bound},
    }
    answer = await api.create_subresource(kinds.SERVICE_ACCOUNT, "ztunnel", "token", request, "istio-system")
    return str(answer["status"]["token"])


async def test_a_proxy_is_told_its_own_configuration_by_the_node_it_runs_on_and_no_other() -> None:
    async with apiserver.running() as cluster:
        root = trust.create("cluster.local", aio.now(), 1)
        control = Control(cluster.http, root, Settings())
        here, elsewhere = await node_token(cluster, "node-1"), await node_token(cluster, "node-2")
        port, _ = await control.start("127.0.0.1", (ip_address("127.0.0.1"),), port=0, status_port=0, webhook_port=0)
        own, foreign = Told(), Told()

        def client(secret: str, told: Told) -> Client:
            async def metadata() -> Sequence[tuple[str, str]]:
                return (("authorization", f"Bearer {secret}"),)

            node = Node("sidecar~10.0.0.1~web.shop~shop.svc.cluster.local")
            roots = grpc.ssl_channel_credentials(root.bundle.encode())
            return Client(
                f"127.0.0.1:{port}",
                node,
                TYPES,
                told.on_delta,
                credentials=roots,
                metadata=metadata,
                on_state=told.on_state,
            )

        tasks = [aio.spawn(client(here, own).run(), "own"), aio.spawn(client(elsewhere, foreign).run(), "foreign")]
        try:
            async with asyncio.timeout(90):
                await own.until(lambda: "no pod shop/web is known yet" in own.why)
                pod = d.pod("web", "10.0.0.1", labels={"app": "web"})
                pod["spec"] |= {"containers": [{"name": "c", "image": "x"}], "nodeName": "node-1"}
                pod["metadata"]["annotations"] = {"sidecar.istio.io/status": "{}"}
                written = await cluster.http.create(kinds.POD, pod, "shop")
                await cluster.http.replace(kinds.POD, {**written, "status": pod["status"]}, subresource="status")
                await own.until(lambda: "virtualOutbound" in own.names[xds.LISTENER])
                await foreign.until(lambda: "pod shop/web does not run on node node-2" in foreign.why)
                assert foreign.names[xds.LISTENER] == set()
                service = d.document("v1", "Service", "cart", "shop")
                service["spec"] = {"selector": {"app": "cart"}, "ports": [{"name": "http", "port": 80}]}
                await cluster.http.create(kinds.SERVICE, service, "shop")
                cart = "outbound|80||cart.shop.svc.cluster.local"
                await own.until(lambda: cart in own.names[xds.CLUSTER])
                subsets = d.document("networking.istio.io/v1", "DestinationRule", "cart", "shop")
                subsets["spec"] = {"host": "cart", "subsets": [{"name": "v2", "labels": {"version": "v2"}}]}
                await cluster.http.create(kinds.DESTINATION_RULE, subsets, "shop")
                split = d.document("networking.istio.io/v1", "VirtualService", "cart", "shop")
                route = {"destination": {"host": "cart", "subset": "v2"}}
                split["spec"] = {"hosts": ["cart"], "http": [{"route": [route]}]}
                await cluster.http.create(kinds.VIRTUAL_SERVICE, split, "shop")
                await own.until(lambda: "outbound|80|v2|cart.shop.svc.cluster.local" in own.names[xds.CLUSTER])
                await cluster.http.delete(kinds.SERVICE, "cart", "shop")
                await own.until(lambda: cart not in own.names[xds.CLUSTER])
        finally:
            await aio.cancel(*tasks)
            await control.close()
