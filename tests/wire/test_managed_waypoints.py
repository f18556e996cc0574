"""Managed waypoints over the real embedded API server: what is made where, for whom there is room, and what is left."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import gateways as g
from kit.deploying import World, operated, world, written
from plait.app.loads import Loads
from plait.app.scaler import Scaler
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError
from plait.store.client import HttpApi

Document = dict[str, Any]
POOL = "plait-managed"
HERE, THERE = ("shop", "waypoint"), (POOL, "shop.waypoint")
NODE = {"spec": {"infrastructure": {"annotations": {"plait.dev/placement": "node"}}}}


async def is_there(api: HttpApi, kind: Kind, where: tuple[str, str]) -> bool:
    try:
        found = await api.get(kind, where[1], where[0])
    except ApiError as error:
        if error.code == 404:
            return False
        raise
    return "deletionTimestamp" not in found["metadata"]


async def is_gone(api: HttpApi, kind: Kind, where: tuple[str, str]) -> bool:
    return not await is_there(api, kind, where)


async def until_made(w: World, where: tuple[str, str], what: str) -> None:
    for kind in (kinds.DEPLOYMENT, kinds.SERVICE_ACCOUNT):
        await w.until(lambda kind=kind: is_there(w.api, kind, where), f"{what}: {kind}")


async def until_gone(w: World, where: tuple[str, str], what: str) -> None:
    for kind in (kinds.DEPLOYMENT, kinds.SERVICE_ACCOUNT):
        await w.until(lambda kind=kind: is_gone(w.api, kind, where), f"{what}: no {kind}")


def named(name: str, **annotations: str) -> Document:
    found = operated(placement="managed", **annotations)
    return {**found, "metadata": {**found["metadata"], "name": name}}


def quota(text: str) -> Document:
    return {**d.document("v1", "ConfigMap", "pool", POOL), "data": {"pool": text}}


async def pool(api: HttpApi, text: str) -> None:
    await api.create(kinds.NAMESPACE, d.document("v1", "Namespace", POOL, ""))
    await api.create(kinds.CONFIG_MAP, quota(text), POOL)


async def ready(w: World, where: tuple[str, str], proxies: int) -> None:
    """What kubelets would tell of the first pods, if there were any."""
    await w.until(lambda: number_of_pods(w, where[0], 2), "the pods")
    found, _ = await w.api.list(kinds.POD, where[0])
    for pod in sorted(found, key=lambda each: str(each["metadata"]["name"]))[:proxies]:
        await tell(w, pod, "Initialized", "ContainersReady", "Ready")


async def number_of_pods(w: World, namespace: str, number: int, labels: str = "") -> bool:
    return len((await w.api.list(kinds.POD, namespace, labels=labels))[0]) == number


async def tell(w: World, pod: Document, *conditions: str) -> None:
    metadata = pod["metadata"]
    told = [{"type": each, "status": "True"} for each in conditions]
    status = {"phase": "Running", "podIP": "127.0.0.2", "conditions": told}
    await w.api.patch(kinds.POD, metadata["name"], {"status": status}, metadata["namespace"], subresource="status")


async def test_a_managed_waypoint_runs_in_the_pool_and_leaves_nothing_there() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, named("waypoint"))
        await until_made(w, THERE, "in the pool")
        assert await is_there(w.api, kinds.SERVICE, HERE)
        assert await is_gone(w.api, kinds.DEPLOYMENT, HERE)
        pod = (await w.api.get(kinds.DEPLOYMENT, THERE[1], POOL))["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "shop.waypoint"
        await w.until(lambda: is_there(w.api, kinds.ENDPOINT_SLICE, ("shop", "waypoint-pool")), "a slice of the pool")
        await w.api.delete(kinds.GATEWAY, "waypoint", "shop")
        await until_gone(w, THERE, "the Gateway went")
        for kind in (kinds.POD, kinds.REPLICA_SET):

            async def none(kind: Kind = kind) -> bool:
                return not (await w.api.list(kind, POOL))[0]

            await w.until(none, f"no {kind} is left")


async def test_what_went_while_nobody_looked_is_cleared_away_and_with_a_whole_namespace_too() -> None:
    async with world() as w:
        labels = {
            "gateway.networking.k8s.io/gateway-name": "waypoint",
            "plait.dev/gateway-namespace": "gone",
            "gateway.istio.io/managed": "istio.io-mesh-controller",
        }
        await w.api.create(kinds.NAMESPACE, d.document("v1", "Namespace", POOL, ""))
        orphan = d.document("v1", "ServiceAccount", "gone.waypoint", POOL, labels=labels)
        await w.api.create(kinds.SERVICE_ACCOUNT, orphan, POOL)
        await w.until(lambda: is_gone(w.api, kinds.SERVICE_ACCOUNT, (POOL, "gone.waypoint")), "an orphan goes")
        await w.api.create(kinds.GATEWAY, named("waypoint"))
        await until_made(w, THERE, "in the pool")
        await w.api.delete(kinds.NAMESPACE, "shop")
        await until_gone(w, THERE, "the namespace went")


async def test_who_it_is_is_nobodys_choice_and_its_pods_are_nobodys_to_change() -> None:
    async with world() as w:
        wanted = named("waypoint")
        wanted["metadata"]["annotations"] = {
            "gateway.istio.io/service-account": "bank.waypoint",
            "gateway.istio.io/name-override": "bank-waypoint",
        }
        params = {**d.document("v1", "ConfigMap", "params"), "data": {"service": "metadata: {labels: {a: b}}"}}
        await w.api.create(kinds.CONFIG_MAP, params, "shop")
        reference = {"group": "", "kind": "ConfigMap", "name": "params"}
        wanted["spec"]["infrastructure"]["parametersRef"] = reference
        await w.api.create(kinds.GATEWAY, wanted)
        await until_made(w, THERE, "under its own name")
        assert await is_gone(w.api, kinds.SERVICE_ACCOUNT, (POOL, "bank.waypoint"))
        other = {"data": {"deployment": "spec: {template: {spec: {serviceAccountName: bank.waypoint}}}"}}
        await w.api.patch(kinds.CONFIG_MAP, "params", other, "shop")
        await w.until(lambda: (m := w.measured()) is not None and m.reason == "Invalid", "told")
        said = w.measured()
        assert said is not None
        assert "key deployment would change what runs in the pool" in said.message
        pod = (await w.api.get(kinds.DEPLOYMENT, THERE[1], POOL))["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "shop.waypoint"


async def test_who_comes_after_the_quota_waits_until_there_is_room() -> None:
    async with world() as w:
        await pool(w.api, "waypoints: 1")
        await w.api.create(kinds.GATEWAY, named("waypoint"))
        await until_made(w, THERE, "the first")
        await w.api.create(kinds.GATEWAY, named("second"))
        await w.until(lambda: (m := w.measured("second")) is not None and m.reason == "NoResources", "told")
        said = w.measured("second")
        assert said is not None and not said.programmed
        assert said.message.startswith("namespace shop may have 1 managed waypoints and has waypoint; delete one")
        assert await is_gone(w.api, kinds.DEPLOYMENT, (POOL, "shop.second"))
        await w.api.patch(kinds.CONFIG_MAP, "pool", quota("waypoints: 2"), POOL)
        await until_made(w, (POOL, "shop.second"), "the quota was raised")
        await w.api.create(kinds.GATEWAY, named("third"))
        await w.until(lambda: (m := w.measured("third")) is not None and m.reason == "NoResources", "told again")
        await w.api.delete(kinds.GATEWAY, "second", "shop")
        await until_made(w, (POOL, "shop.third"), "another went")


async def test_proxies_count_too_and_what_runs_stays_when_a_quota_is_lowered() -> None:
    async with world() as w:
        await pool(w.api, "replicas: 4")
        await w.api.create(kinds.GATEWAY, named("waypoint", min_replicas="3", max_replicas="9"))
        await until_made(w, THERE, "the first")
        scaled = w.controller.scaled()["shop", "waypoint"]
        assert (scaled.namespace, scaled.deployment, scaled.operation.most) == (POOL, "shop.waypoint", 4)
        await w.api.create(kinds.GATEWAY, named("second", min_replicas="2"))
        await w.until(lambda: (m := w.measured("second")) is not None and m.reason == "NoResources", "told")
        await w.api.patch(kinds.CONFIG_MAP, "pool", quota("waypoints: 0"), POOL)
        await w.quiet()
        assert await is_there(w.api, kinds.DEPLOYMENT, THERE)
        found = w.measured()
        assert found is not None and found.reason == "Pending"


async def test_it_moves_only_when_as_many_serve_in_the_new_place() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await until_made(w, HERE, "in the namespace")
        await w.api.patch(kinds.DEPLOYMENT, HERE[1], {"spec": {"replicas": 2}}, HERE[0], subresource="scale")
        managed = {"spec": {"infrastructure": {"annotations": {"plait.dev/placement": "managed"}}}}
        await w.api.patch(kinds.GATEWAY, "waypoint", managed, "shop")
        await until_made(w, THERE, "in the pool")

        async def as_many() -> bool:
            return bool((await w.api.get(kinds.DEPLOYMENT, THERE[1], POOL))["spec"]["replicas"] == 2)

        await w.until(as_many, "as many as before")
        await ready(w, THERE, 1)
        await w.quiet()
        assert await is_there(w.api, kinds.DEPLOYMENT, HERE), "one of two serves: the old ones stay"
        await ready(w, THERE, 2)
        await until_gone(w, HERE, "both serve")
        await w.api.patch(kinds.GATEWAY, "waypoint", NODE, "shop")
        await until_made(w, HERE, "and back")
        assert await is_there(w.api, kinds.DEPLOYMENT, THERE)
        assert await is_there(w.api, kinds.ENDPOINT_SLICE, ("shop", "waypoint-pool"))
        await ready(w, HERE, 2)
        await until_gone(w, THERE, "nothing is left in the pool")
        await w.until(lambda: is_gone(w.api, kinds.ENDPOINT_SLICE, ("shop", "waypoint-pool")), "nor its slice")


async def test_a_warm_proxy_is_claimed_by_who_comes_and_goes_when_the_waypoint_has_its_own() -> None:
    async with world() as w:
        await pool(w.api, "warm: 1")
        await w.until(lambda: number_of_pods(w, POOL, 1), "one is kept warm")
        (warm,), _ = await w.api.list(kinds.POD, POOL)
        assert warm["spec"]["serviceAccountName"] == "warm"
        assert warm["spec"]["readinessGates"] == [{"conditionType": "plait.dev/serving"}]
        await tell(w, warm, "Initialized", "ContainersReady")
        await w.until(lambda: seen(w, warm, "ContainersReady"), "it has begun")
        await w.api.create(kinds.GATEWAY, named("waypoint"))
        await w.until(lambda: number_of_pods(w, POOL, 1, "plait.dev/gateway-namespace=shop"), "it is claimed")
        (claimed,), _ = await w.api.list(kinds.POD, POOL, labels="plait.dev/gateway-namespace=shop")
        assert claimed["metadata"]["uid"] == warm["metadata"]["uid"]
        account = await w.api.get(kinds.SERVICE_ACCOUNT, THERE[1], POOL)
        assert account["metadata"]["annotations"] == {"plait.dev/claimed": warm["metadata"]["uid"]}
        assert w.controller.claim(THERE[1]) == warm["metadata"]["uid"]
        assert await is_gone(w.api, kinds.DEPLOYMENT, THERE), "it is not disturbed while it is told what to do"
        await tell(w, claimed, "Initialized", "ContainersReady", "Ready")
        await until_made(w, THERE, "it serves: now the waypoint's own")
        await w.until(lambda: number_of_pods(w, POOL, 2, "plait.dev/gateway-namespace=shop"), "beside it")
        found, _ = await w.api.list(kinds.POD, POOL, labels="plait.dev/gateway-namespace=shop,!plait.dev/claimed")
        await tell(w, found[0], "Initialized", "ContainersReady", "Ready")
        await w.until(lambda: number_of_pods(w, POOL, 0, "plait.dev/claimed"), "the warm one goes")
        await w.until(lambda: not w.controller.claim(THERE[1]), "and may no longer speak for it")
        await w.api.patch(kinds.CONFIG_MAP, "pool", quota("warm: 0"), POOL)
        await w.until(lambda: number_of_pods(w, POOL, 0, "plait.dev/warm"), "none is kept warm")


async def test_who_calls_it_in_its_sleep_is_served_warm_before_its_own_or_another_warm_one_is_started() -> None:
    async with world() as w:
        await pool(w.api, "waypoints: 1")
        await w.api.create(kinds.GATEWAY, named("waypoint", scale_to_zero="10m"))
        await until_made(w, THERE, "in the pool")
        asleep = {"metadata": {"annotations": {"plait.dev/asleep": "true"}}, "spec": {"replicas": 0}}
        await w.api.patch(kinds.DEPLOYMENT, THERE[1], asleep, POOL)
        await w.until(lambda: number_of_pods(w, POOL, 0), "it sleeps")
        await w.api.patch(kinds.CONFIG_MAP, "pool", quota("warm: 1"), POOL)
        await w.until(lambda: number_of_pods(w, POOL, 1), "one is kept warm")
        (warm,), _ = await w.api.list(kinds.POD, POOL)
        await tell(w, warm, "Initialized", "ContainersReady")
        await w.until(lambda: seen(w, warm, "ContainersReady"), "it has begun")
        loads, served = Loads(lambda node: node), w.controller.warm_first
        scaler = Scaler(w.api, w.controller.scaled, w.controller.deployments, lambda key: [], loads, served=served)
        w.controller.called(HERE)
        scaler.wake(HERE)
        await w.until(lambda: number_of_pods(w, POOL, 1, "plait.dev/claimed"), "it is claimed")
        await w.quiet()
        assert await number_of_pods(w, POOL, 1), "nothing is started beside it"
        await tell(w, warm, "Initialized", "ContainersReady", "Ready")
        own = "plait.dev/gateway-namespace=shop,!plait.dev/claimed"
        await w.until(lambda: number_of_pods(w, POOL, 1, own), "its own, when it has served")
        await w.quiet()
        assert await number_of_pods(w, POOL, 2), "but no other warm one beside that"
        (started,), _ = await w.api.list(kinds.POD, POOL, labels=own)
        await tell(w, started, "Initialized", "ContainersReady", "Ready")
        await w.until(lambda: number_of_pods(w, POOL, 0, "plait.dev/claimed"), "relieved")
        await w.until(lambda: number_of_pods(w, POOL, 1, "plait.dev/warm"), "now another is kept warm")
        await loads.close()


async def seen(w: World, pod: Document, condition: str) -> bool:
    """Has the controller heard of it?"""
    found = w.controller.pods.get(pod["metadata"]["name"], POOL) or {}
    return any(each["type"] == condition for each in (found.get("status") or {}).get("conditions") or ())
