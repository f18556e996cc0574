"""The injector registered with the real embedded API server: pods written by HTTP come back with their sidecar."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest
from msgspec import structs

from kit import apiserver
from kit import documents as d
from plait.app.webhooks import Webhooks
from plait.base import aio
from plait.identity import trust
from plait.identity.trust import Trust
from plait.inject.injector import Config
from plait.resources import kinds
from plait.resources.mesh_config.proxy import ProxyConfig
from plait.store.api import ApiError

ON = {"istio-injection": "enabled"}
AMBIENT = {"istio.io/dataplane-mode": "ambient"}
CONTAINER = {"name": "c", "image": "x"}
EVICTION = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "b", "namespace": "plain"}}


def root(serial: int) -> Trust:
    return trust.create("cluster.local", aio.now(), serial)


@asynccontextmanager
async def injector(
    cluster: apiserver.Cluster,
    now: Callable[[], Trust],
    said: Callable[[Config], Config] = lambda config: config,
    hold: Callable[[str, str], Awaitable[None]] | None = None,
) -> AsyncIterator[Webhooks]:
    hooks = Webhooks(cluster.http, now, Config("/proxies"), said, hold)
    await hooks.start("127.0.0.1", (ip_address("127.0.0.1"),), 0)
    try:
        yield hooks
    finally:
        await hooks.close()


async def namespace(cluster: apiserver.Cluster, name: str, labels: dict[str, str]) -> None:
    document = d.document("v1", "Namespace", name)
    document["metadata"]["labels"] = labels
    await cluster.http.create(kinds.NAMESPACE, document)


async def written(cluster: apiserver.Cluster, where: str, name: str, **metadata: Any) -> dict[str, Any]:
    document = d.document("v1", "Pod", name, where)
    document["metadata"] |= metadata
    document["spec"] = {"containers": [{"name": "c", "image": "x"}]}
    return await cluster.http.create(kinds.POD, document, where)


def sidecar(pod: dict[str, Any]) -> bool:
    return [each["name"] for each in pod["spec"].get("initContainers") or ()] == ["istio-proxy"]


async def test_pods_get_their_sidecar_where_labels_ask_for_it() -> None:
    first = root(1)
    async with apiserver.running() as cluster, injector(cluster, lambda: first):
        for name, labels in (
            ("on", ON),
            ("off", {"istio-injection": "disabled"}),
            ("plain", {}),
            ("both", {**ON, **AMBIENT}),
        ):
            await namespace(cluster, name, labels)
        yes, no = {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}
        assert sidecar(await written(cluster, "on", "a"))
        assert not sidecar(await written(cluster, "on", "b", labels=no))
        assert not sidecar(await written(cluster, "on", "c", annotations=no))
        assert sidecar(await written(cluster, "plain", "d", labels=yes))
        assert not sidecar(await written(cluster, "plain", "e"))
        assert not sidecar(await written(cluster, "off", "f", labels=yes))
        assert sidecar(await written(cluster, "both", "g"))
        # A label that is younger than anything we could have heard of counts.
        await cluster.http.patch(kinds.NAMESPACE, "plain", {"metadata": {"labels": ON}})
        assert sidecar(await written(cluster, "plain", "h"))


async def test_what_the_mesh_says_when_the_pod_is_written_counts() -> None:
    first, threads = root(1), 1

    def said(config: Config) -> Config:
        return structs.replace(config, defaults=ProxyConfig(concurrency=threads))

    async with apiserver.running() as cluster, injector(cluster, lambda: first, said):
        await namespace(cluster, "on", ON)
        for threads in (1, 4):
            pod = await written(cluster, "on", f"p{threads}")
            assert pod["spec"]["initContainers"][0]["args"][:2] == ["--concurrency", str(threads)]


async def test_nonsense_is_refused_with_field_and_way_out() -> None:
    first = root(1)
    async with apiserver.running() as cluster, injector(cluster, lambda: first):
        await namespace(cluster, "on", ON)
        with pytest.raises(ApiError, match=r'excludeInboundPorts.*"http" is no port; want numbers') as caught:
            await written(cluster, "on", "a", annotations={"traffic.sidecar.istio.io/excludeInboundPorts": "http"})
        assert caught.value.code == 422
        with pytest.raises(ApiError, match='neither "true" nor "false"'):
            await written(cluster, "on", "a", labels={"sidecar.istio.io/inject": "maybe"})


async def test_without_the_injector_only_those_who_asked_for_it_cannot_start() -> None:
    first = root(1)
    async with apiserver.running() as cluster:
        async with injector(cluster, lambda: first):
            await namespace(cluster, "on", ON)
            await namespace(cluster, "plain", {})
        with pytest.raises(ApiError, match="failed calling webhook"):
            await written(cluster, "on", "a")
        assert await written(cluster, "plain", "b")
        assert await written(cluster, "on", "c", labels={"sidecar.istio.io/inject": "false"})


async def test_a_change_of_the_root_and_of_the_registration_are_followed() -> None:
    old, new = root(1), root(2)
    now = old
    async with apiserver.running() as cluster, injector(cluster, lambda: now) as hooks:
        await namespace(cluster, "on", ON)
        assert sidecar(await written(cluster, "on", "a"))
        # The steps of a rotation: both trusted, the new one signs, the old one forgotten.
        for name, step in (
            ("b", trust.with_roots(old, new.roots)),
            ("c", trust.with_roots(new, old.roots)),
            ("d", new),
        ):
            now = step
            await hooks.look()
            assert sidecar(await written(cluster, "on", name))
        await cluster.http.delete(kinds.MUTATING_WEBHOOK, "istio-sidecar-injector")
        assert not sidecar(await written(cluster, "on", "e"))
        await hooks.look()
        assert sidecar(await written(cluster, "on", "f"))
        before = await cluster.http.get(kinds.MUTATING_WEBHOOK, "istio-sidecar-injector")
        await hooks.look()
        assert await cluster.http.get(kinds.MUTATING_WEBHOOK, "istio-sidecar-injector") == before, "nothing to write"


async def test_whoever_asks_with_anything_else_than_a_review_gets_an_answer() -> None:
    first = root(1)
    async with apiserver.running() as cluster, injector(cluster, lambda: first):
        found = await cluster.http.get(kinds.MUTATING_WEBHOOK, "istio-sidecar-injector")
        url = found["webhooks"][0]["clientConfig"]["url"]
        async with aiohttp.ClientSession() as session, asyncio.timeout(10):
            for body, words in (("{", "no AdmissionReview"), ("[]", 'kind "AdmissionReview"')):
                async with session.post(
                    url, data=body, headers={"content-type": "application/json"}, ssl=False
                ) as answer:
                    assert answer.status == 400 and words in await answer.text()
            missing = {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {"uid": "u", "namespace": "nowhere", "object": {"kind": "Pod"}},
            }
            async with session.post(url, json=missing, ssl=False) as answer:
                response = (await answer.json())["response"]
                assert not response["allowed"] and "nowhere" in response["status"]["message"]


async def test_a_pod_is_deleted_when_whoever_holds_it_lets_go_and_not_asked_about_twice() -> None:
    held, go = [], asyncio.Event()

    async def hold(where: str, name: str) -> None:
        held.append((where, name))
        await go.wait()

    first = root(1)
    async with apiserver.running() as cluster, injector(cluster, lambda: first, hold=hold) as hooks:
        await namespace(cluster, "plain", {})
        for name in ("a", "b", "c"):
            document = d.document("v1", "Pod", name, "plain", spec={"nodeName": "n", "containers": [CONTAINER]})
            await cluster.http.create(kinds.POD, document, "plain")
        deleting = asyncio.ensure_future(cluster.http.delete(kinds.POD, "a", "plain", grace=30))
        async with asyncio.timeout(20):
            while not held:
                await asyncio.sleep(0.05)
        assert "deletionTimestamp" not in (await cluster.http.get(kinds.POD, "a", "plain"))["metadata"]
        # An eviction may still be refused by a disruption budget: the pod is not taken out for it.
        await cluster.http.create_subresource(kinds.POD, "b", "eviction", EVICTION, "plain")
        assert held == [("plain", "a")]
        go.set()
        await deleting
        assert "deletionTimestamp" in (await cluster.http.get(kinds.POD, "a", "plain"))["metadata"]
        await cluster.http.delete(kinds.POD, "a", "plain", grace=0)
        assert held.count(("plain", "a")) == 1, "its kubelet's last word needs nobody's leave"
        await hooks.close()  # nothing depends on us
        await asyncio.wait_for(cluster.http.delete(kinds.POD, "c", "plain", grace=0), 5)
