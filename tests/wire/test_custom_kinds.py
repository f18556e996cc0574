"""Controllers and custom resources on the real server: namespaces end with them, owners take them along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kit import apiserver
from kit.widgets import WIDGET, definition, widget
from plait.base import aio
from plait.local import controllers
from plait.resources.kinds import CONFIG_MAP, CRD, NAMESPACE, Kind
from plait.store.api import ApiError, Document


@pytest.fixture
async def cluster() -> AsyncIterator[apiserver.Cluster]:
    async with apiserver.running() as running:
        work = aio.spawn(controllers.run(running.local, apiserver.PLAN, root_ca=b"PEM"), "controllers")
        try:
            await running.http.create(CRD, definition())
            yield running
        finally:
            await aio.cancel(work)


async def gone(cluster: apiserver.Cluster, kind: Kind, name: str, namespace: str = "") -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await cluster.http.get(kind, name, namespace)
            except ApiError as error:
                if error.code == 404:
                    return
                raise
            await asyncio.sleep(0.02)


def owned(name: str, owner: Document, *, blocking: bool = False) -> Document:
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "blockOwnerDeletion": blocking}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    return {"metadata": {"name": name, "ownerReferences": [reference]}}


async def test_a_namespace_ends_with_the_custom_resources_in_it(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(NAMESPACE, {"metadata": {"name": "shop"}})
    held = {**widget(), "metadata": {"name": "w", "finalizers": ["shop.example/clean"]}}
    await cluster.http.create(WIDGET, held, "shop")
    await cluster.http.create(WIDGET, {**widget(), "metadata": {"name": "free"}}, "shop")
    await cluster.http.create(WIDGET, widget("elsewhere"), "default")
    await cluster.http.delete(NAMESPACE, "shop")
    await gone(cluster, WIDGET, "free", "shop")
    waiting = await cluster.http.get(NAMESPACE, "shop")
    assert waiting["status"]["phase"] == "Terminating"
    await cluster.http.patch(WIDGET, "w", {"metadata": {"finalizers": None}}, "shop")
    await gone(cluster, NAMESPACE, "shop")
    assert await cluster.http.get(WIDGET, "elsewhere", "default")


async def test_what_a_custom_resource_owns_goes_with_it_and_it_goes_with_its_owner(cluster: apiserver.Cluster) -> None:
    top = await cluster.http.create(CONFIG_MAP, {"metadata": {"name": "top"}}, "default")
    middle = await cluster.http.create(WIDGET, widget() | owned("middle", top), "default")
    await cluster.http.create(CONFIG_MAP, owned("bottom", middle), "default")
    await cluster.http.create(CONFIG_MAP, {"metadata": {"name": "other"}}, "default")
    await cluster.http.delete(CONFIG_MAP, "top", "default")
    await gone(cluster, WIDGET, "middle", "default")
    await gone(cluster, CONFIG_MAP, "bottom", "default")
    assert await cluster.http.get(CONFIG_MAP, "other", "default")


async def test_a_foreground_deletion_of_a_custom_resource_waits_for_its_dependents(cluster: apiserver.Cluster) -> None:
    made = await cluster.http.create(WIDGET, widget(), "default")
    bottom = owned("bottom", made, blocking=True)
    bottom["metadata"]["finalizers"] = ["shop.example/clean"]
    await cluster.http.create(CONFIG_MAP, bottom, "default")
    await cluster.http.delete(WIDGET, "w", "default", propagation="Foreground")
    async with asyncio.timeout(20):
        while "deletionTimestamp" not in (await cluster.http.get(CONFIG_MAP, "bottom", "default"))["metadata"]:
            await asyncio.sleep(0.02)
    assert "foregroundDeletion" in (await cluster.http.get(WIDGET, "w", "default"))["metadata"]["finalizers"]
    await cluster.http.patch(CONFIG_MAP, "bottom", {"metadata": {"finalizers": None}}, "default")
    await gone(cluster, WIDGET, "w", "default")


async def test_a_definition_that_goes_takes_what_its_objects_own_along(cluster: apiserver.Cluster) -> None:
    made = await cluster.http.create(WIDGET, widget(), "default")
    await cluster.http.create(CONFIG_MAP, owned("bottom", made), "default")
    await cluster.http.delete(CRD, "widgets.shop.example")
    await gone(cluster, CONFIG_MAP, "bottom", "default")


async def test_a_definition_made_again_is_followed_again(cluster: apiserver.Cluster) -> None:
    await cluster.http.delete(CRD, "widgets.shop.example")
    await gone(cluster, CRD, "widgets.shop.example")
    await cluster.http.create(CRD, definition())
    made = await cluster.http.create(WIDGET, widget(), "default")
    await cluster.http.create(CONFIG_MAP, owned("bottom", made), "default")
    await cluster.http.delete(WIDGET, "w", "default")
    await gone(cluster, CONFIG_MAP, "bottom", "default")
