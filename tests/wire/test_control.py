"""The control process over the real embedded API server: objects written with HTTP, workloads read with gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import grpc

from kit import apiserver
from kit import documents as d
from plait.app.control import Control
from plait.base import aio
from plait.base.bundle import Resource
from plait.identity import trust
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.wds import messages as wds
from plait.wds.decode import Store
from plait.xds.client import Client
from plait.xds.messages import Node

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ""}}


async def token(cluster: apiserver.Cluster, namespace: str, account: str) -> str:
    api = cluster.http
    for kind, document, where in (
        (kinds.NAMESPACE, {**NAMESPACE, "metadata": {"name": namespace}}, ""),
        (kinds.SERVICE_ACCOUNT, d.document("v1", "ServiceAccount", account, namespace), namespace),
    ):
        try:
            await api.create(kind, document, where)
        except Exception as error:
            assert "exists" in str(error), error
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600},
    }
    answer = await api.create_subresource(kinds.SERVICE_ACCOUNT, account, "token", request, namespace)
    return str(answer["status"]["token"])


async def test_a_written_pod_is_heard_by_the_node_agent_and_nobody_else(tmp_path: Path) -> None:
    async with apiserver.running() as cluster:
        root = trust.create("cluster.local", aio.now(), 1)
        control = Control(cluster.http, root, Settings())
        agent, other = await token(cluster, "istio-system", "ztunnel"), await token(cluster, "shop", "default")
        port, status = await control.start(
            "127.0.0.1", (ip_address("127.0.0.1"),), port=0, status_port=0, webhook_port=0
        )
        store, changed, refused = Store(Settings()), asyncio.Event(), asyncio.Event()

        def on_delta(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
            assert store.apply(url, resources, removed) == ()
            changed.set()

        def client(secret: str, state: object) -> Client:
            async def metadata() -> Sequence[tuple[str, str]]:
                return (("authorization", f"Bearer {secret}"),)

            types = (wds.ADDRESS_TYPE, wds.AUTHORIZATION_TYPE)
            roots = grpc.ssl_channel_credentials(root.bundle.encode())
            return Client(
                f"127.0.0.1:{port}", Node("n"), types, on_delta, credentials=roots, metadata=metadata, on_state=state
            )

        reasons: list[str] = []

        def state(connected: bool, why: str) -> None:
            reasons.append(why)
            refused.set()

        good, bad = client(agent, None), client(other, state)
        tasks = [aio.spawn(good.run(), "good"), aio.spawn(bad.run(), "bad")]
        try:
            async with asyncio.timeout(30):
                await good.synced()
                await refused.wait()
                assert "PERMISSION_DENIED: shop/default is no node agent" in reasons[0]
                pod = d.pod("a", "10.0.0.1", labels={"app": "a"})
                pod["spec"]["containers"] = [{"name": "c", "image": "x"}]
                written = await cluster.http.create(kinds.POD, pod, "shop")
                await cluster.http.replace(kinds.POD, {**written, "status": pod["status"]}, subresource="status")
                while "Kubernetes//Pod/shop/a" not in store.mesh.workloads:
                    changed.clear()
                    await changed.wait()
                workload = store.mesh.workloads["Kubernetes//Pod/shop/a"]
                assert (workload.tunnel, workload.healthy) == ("hbone", True)
                pushes = control.pipeline.statistics.pushes
                await cluster.http.patch(kinds.POD, "a", {"metadata": {"annotations": {"unrelated": "1"}}}, "shop")
                await cluster.http.delete(kinds.POD, "a", "shop", grace=0)
                while "Kubernetes//Pod/shop/a" in store.mesh.workloads:
                    changed.clear()
                    await changed.wait()
                # It leaves (the agent acknowledges that before it is deleted), and is gone.
                assert control.pipeline.statistics.pushes == pushes + 2, "what means nothing is not pushed"
                async with aiohttp.ClientSession() as session:
                    async with session.get(f"http://127.0.0.1:{status}/metrics") as answer:
                        assert "plait_control_policies 1.0" in await answer.text()
                    async with session.get(f"http://127.0.0.1:{status}/debug/mesh") as answer:
                        assert "shop/istio_converted_static_strict" not in await answer.text()
        finally:
            await aio.cancel(*tasks)
            await control.close()
