"""The companion of one proxy: folder, socket, the last word of the control plane, and the end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kit import documents as d
from plait.app.companions import TYPES, Companions, role_of
from plait.base import aio
from plait.base.bundle import Resource
from plait.envoy import names
from plait.envoy.wire import resource
from plait.xds.client import Client
from plait.xds.messages import Node

GATEWAY = "gateway.networking.k8s.io/gateway-name"
CLUSTER = resource(names.CLUSTER, "one", {"name": "one", "type": "STATIC"})


class Silent:
    """A control plane that says nothing by itself; tests say it."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.followed = 0
        self.say: Any = None

    def __call__(self, node_id: str, types: tuple[str, ...], on_delta: Any, applied: Any) -> Any:
        assert types == TYPES
        self.opened.append(node_id)
        self.say = on_delta
        return self

    async def run(self) -> None:
        self.followed += 1
        await asyncio.Event().wait()


def pod(uid: str = "u1", **labels: str) -> d.Document:
    document = d.pod("web", "10.0.0.1", labels=labels, annotations={"sidecar.istio.io/status": "{}"})
    document["metadata"]["uid"] = uid
    return document


async def heard(socket: Path) -> dict[str, bytes]:
    """What an Envoy would hear of clusters at once."""
    found: dict[str, bytes] = {}

    def on_delta(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        found.update({each.name: each.value for each in resources})

    client = Client(f"unix:{socket}", Node("sidecar"), (names.CLUSTER,), on_delta)
    task = aio.spawn(client.run(), "envoy")
    try:
        async with asyncio.timeout(10):
            await client.synced()
    finally:
        await aio.cancel(task)
    return found


@pytest.mark.parametrize(
    ("labels", "annotations", "role"),
    [
        ({}, {}, None),
        ({}, {"sidecar.istio.io/status": "{}"}, "sidecar"),
        ({}, {"sidecar.istio.io/status": "{}", "inject.istio.io/templates": "gateway"}, "gateway"),
        ({GATEWAY: "edge"}, {}, "gateway"),
        ({GATEWAY: "w", "gateway.istio.io/managed": "istio.io-mesh-controller"}, {}, "waypoint"),
    ],
)
def test_what_a_pod_holds(labels: dict[str, str], annotations: dict[str, str], role: str | None) -> None:
    assert role_of({"metadata": {"labels": labels, "annotations": annotations}}) == role


async def test_a_proxy_gets_the_last_word_also_from_a_new_agent_without_control_plane(tmp_path: Path) -> None:
    upstream, wanted = Silent(), []
    first = Companions(tmp_path, "node-1", "cluster.local", upstream)
    first.changed = lambda: wanted.append(first.identities)
    await first.attached(pod(), ("10.0.0.1",))
    assert upstream.opened == ["sidecar~10.0.0.1~web.shop~shop.svc.cluster.local"]
    assert wanted == [{"spiffe://cluster.local/ns/shop/sa/default"}]
    folder = tmp_path / "u1"
    assert (folder / "envoy").stat().st_mode & 0o111
    read = json.loads((folder / "bootstrap.json").read_text())
    assert read["node"]["id"] == upstream.opened[0]
    upstream.say(names.CLUSTER, (CLUSTER,), ())
    assert await heard(folder / "xds.sock") == {"one": CLUSTER.value}
    await first.close()

    second = Companions(tmp_path, "node-1", "cluster.local", Silent())
    await second.attached(pod(), ("10.0.0.1",))
    assert await heard(folder / "xds.sock") == {"one": CLUSTER.value}
    await second.detaching("u1")
    assert not folder.exists() and second.identities == set()


async def test_pods_without_a_proxy_get_nothing(tmp_path: Path) -> None:
    companions = Companions(tmp_path, "node-1", "cluster.local", Silent())
    plain = d.pod("web", "10.0.0.1")
    plain["metadata"]["uid"] = "u2"
    await companions.attached(plain, ("10.0.0.1",))
    await companions.detaching("u2")
    await companions.drain("u2")
    assert list(tmp_path.iterdir()) == []


async def test_a_proxy_whose_pod_goes_asks_clients_to_leave_and_still_takes_new_connections(tmp_path: Path) -> None:
    companions, asked = Companions(tmp_path, "node-1", "cluster.local", Silent()), []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.Response()

    application = web.Application()
    application.router.add_post("/{rest:.*}", answer)
    await companions.attached(pod(), ("10.0.0.1",))
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "u1" / "admin.sock")).start()
    await companions.drain("u1")
    await companions.drain("u1")
    assert asked == ["/healthcheck/fail", "/drain_listeners?graceful&skip_exit&inboundonly"]
    await runner.cleanup()
    await companions.detaching("u1")


async def test_a_warm_proxy_is_nobody_until_it_is_claimed(tmp_path: Path) -> None:
    upstream, wanted = Silent(), []
    companions = Companions(tmp_path, "node-1", "cluster.local", upstream)
    companions.changed = lambda: wanted.append(companions.identities)
    made = {"gateway.istio.io/managed": "istio.io-mesh-controller", "plait.dev/warm": "true"}
    warm = d.pod("warm-1", "10.0.0.1", "plait-managed", labels=made, account="warm")
    warm["metadata"]["uid"] = "u3"
    await companions.attached(warm, ("10.0.0.1",))
    await asyncio.sleep(0)
    assert (upstream.followed, companions.identities, wanted) == (0, set(), [])
    assert await heard(tmp_path / "u3" / "xds.sock") == {}, "it is answered, so that it is ready to be somebody"
    companions.updated(warm)
    assert companions.identities == set()

    own = {GATEWAY: "waypoint", "plait.dev/gateway-namespace": "shop", "plait.dev/claimed": "true"}
    claimed = {**warm, "metadata": {**warm["metadata"], "labels": {**made, **own}}}
    companions.updated(claimed)
    await asyncio.sleep(0)
    assert wanted == [{"spiffe://cluster.local/ns/plait-managed/sa/shop.waypoint"}]
    assert upstream.followed == 1
    companions.updated(claimed)
    await asyncio.sleep(0)
    assert upstream.followed == 1
    await companions.detaching("u3")
