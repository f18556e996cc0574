"""Statuses over the real embedded API server: schemas, the status subresource, versions, and how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from aiohttp import web

from kit import apiserver, worlds
from kit import documents as d
from plait.app.control import Control
from plait.base import aio
from plait.identity import trust
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import ApiError, Document

API = "gateway.networking.k8s.io/v1"
USED = {"istio.io/use-waypoint": "waypoint"}


@asynccontextmanager
async def running() -> AsyncIterator[tuple[apiserver.Cluster, Control]]:
    async with apiserver.running() as cluster:
        await cluster.http.create(kinds.NAMESPACE, {"metadata": {"name": "shop"}})
        control = Control(cluster.http, trust.create("cluster.local", aio.now(), 1), Settings())
        try:
            await control.start("127.0.0.1", (ip_address("127.0.0.1"),), port=0, status_port=0, webhook_port=0)
            yield cluster, control
        finally:
            await control.close()


async def until(what: Callable[[], Awaitable[bool]], seconds: float = 10) -> float:
    """How long it took."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not await what():
            await asyncio.sleep(0.01)
    return asyncio.get_running_loop().time() - began


def said(cluster: apiserver.Cluster, kind: Kind, name: str, wanted: str) -> Callable[[], Awaitable[bool]]:
    """Is there a condition of this type, somewhere in the status of the object?"""

    async def ask() -> bool:
        return f"'type': '{wanted}'" in str((await cluster.http.get(kind, name, "shop")).get("status"))

    return ask


def gateway(name: str, class_name: str, port: int, protocol: str) -> Document:
    listener = {"name": "one", "port": port, "protocol": protocol}
    return d.document(API, "Gateway", name, spec={"gatewayClassName": class_name, "listeners": [listener]})


async def test_every_kind_of_status_is_taken_by_the_server_and_compiles_nothing() -> None:
    async with running() as (cluster, control):
        http = cluster.http
        await http.create(kinds.GATEWAY, gateway("waypoint", "istio-waypoint", 15008, "HBONE"))
        await http.create(kinds.GATEWAY, gateway("edge", "plait", 80, "HTTP"))
        spec: Document = {"controllerName": "plait.dev/gateway-controller"}
        await http.create(kinds.GATEWAY_CLASS, d.document(API, "GatewayClass", "own", "", spec=spec))
        spec = {"ports": [{"name": "http", "port": 80}], "selector": {"app": "cart"}}
        await http.create(kinds.SERVICE, d.document("v1", "Service", "cart", labels=USED, spec=spec))
        spec = {"parentRefs": [{"name": "edge"}], "rules": [{"backendRefs": [{"name": "cart", "port": 80}]}]}
        await http.create(kinds.HTTP_ROUTE, d.document(API, "HTTPRoute", "cart", spec=spec))
        spec = {"hosts": ["cart"], "http": [{"route": [{"destination": {"host": "nowhere"}}]}]}
        istio = "networking.istio.io/v1"
        await http.create(kinds.VIRTUAL_SERVICE, d.document(istio, "VirtualService", "cart", spec=spec))
        spec = {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http"}], "resolution": "DNS"}
        await http.create(kinds.SERVICE_ENTRY, d.document(istio, "ServiceEntry", "far", labels=USED, spec=spec))
        await http.create(kinds.AUTHORIZATION_POLICY, d.allow("open", [{}]))
        for kind, name, wanted in (
            (kinds.GATEWAY, "edge", "Programmed"),
            (kinds.HTTP_ROUTE, "cart", "ResolvedRefs"),
            (kinds.SERVICE, "cart", "istio.io/WaypointBound"),
            (kinds.SERVICE_ENTRY, "far", "istio.io/WaypointBound"),
            (kinds.VIRTUAL_SERVICE, "cart", "Reconciled"),
            (kinds.AUTHORIZATION_POLICY, "open", "ZtunnelAccepted"),
        ):
            await until(said(cluster, kind, name, wanted))
        assert (await http.get(kinds.GATEWAY_CLASS, "own"))["status"]["supportedFeatures"]
        status = (await http.get(kinds.VIRTUAL_SERVICE, "cart", "shop"))["status"]
        (reconciled,) = status["conditions"]
        assert reconciled["status"] == "False"
        assert "IST0101 spec.http[0].route[0].destination: " in reconciled["message"]
        assert [each["type"]["code"] for each in status["validationMessages"]] == ["IST0101"]

        async def addressed() -> bool:
            return bool((await http.get(kinds.SERVICE_ENTRY, "far", "shop"))["status"].get("addresses"))

        async def told() -> bool:
            return not control.pipeline.leaving

        await until(addressed)  # somebody else's status, which compile does read
        await until(told)
        await asyncio.sleep(0.5)
        statistics = control.statuses.statistics
        compiles, written = control.pipeline.statistics.compiles, statistics.written
        await asyncio.sleep(1)
        assert (control.pipeline.statistics.compiles, statistics.written) == (compiles, written), "it must come to rest"
        assert statistics.failures == 0


async def test_a_thousand_routes_have_their_status_and_one_more_follows() -> None:
    async with running() as (cluster, control):
        http = cluster.http
        await http.create(kinds.GATEWAY, gateway("edge", "plait", 80, "HTTP"))
        spec = {"parentRefs": [{"name": "edge"}]}
        lag, beats = 0.0, True

        async def beat() -> None:
            nonlocal lag
            loop = asyncio.get_running_loop()
            while beats:
                before = loop.time()
                await asyncio.sleep(0.005)
                lag = max(lag, loop.time() - before)

        for number in range(0, 1000, 50):
            names = [f"r{number + each:04}" for each in range(50)]
            await asyncio.gather(
                *(http.create(kinds.HTTP_ROUTE, d.document(API, "HTTPRoute", each, spec=spec)) for each in names)
            )
        beating = aio.spawn(beat(), "beat")

        async def done() -> bool:
            return control.statuses.statistics.written >= 1001

        await until(done, 60)
        await http.create(kinds.HTTP_ROUTE, d.document(API, "HTTPRoute", "last", spec=spec))
        await until(said(cluster, kinds.HTTP_ROUTE, "last", "Accepted"))
        beats = False
        await beating
        assert lag < 5, "a burst must not hold up everybody else; how long exactly is for a benchmark to say"


async def test_a_limit_policy_is_served_checked_and_says_who_carries_it_out() -> None:
    async with running() as (cluster, _):
        http = cluster.http
        wrong = worlds.limits("wrong", rateLimits=[{"name": "all", "requests": 0}])
        with pytest.raises(ApiError, match=r"spec\.rateLimits\[0\]\.requests"):
            await http.create(kinds.LIMIT_POLICY, wrong)
        limits = worlds.limits("limits", rateLimits=[{"name": "all", "requests": 5}])
        await http.create(kinds.LIMIT_POLICY, limits)

        def says(*wanted: str) -> Callable[[], Awaitable[bool]]:
            async def ask() -> bool:
                found = (await http.get(kinds.LIMIT_POLICY, "limits", "shop")).get("status") or {}
                return {f"{each['type']} {each['reason']}" for each in found.get("conditions", ())} == {*wanted}

            return ask

        await until(says("Accepted TargetNotFound", "Attached NotEnforced"))
        await http.create(kinds.GATEWAY, gateway("waypoint", "istio-waypoint", 15008, "HBONE"))
        await http.create(kinds.SERVICE, d.service("web", "", labels=USED))
        await until(says("Accepted Accepted", "Attached Attached"))


async def test_an_issuer_is_asked_for_its_keys_and_the_object_says_while_it_does_not_answer() -> None:
    answers = [503]

    async def configuration(_: web.Request) -> web.Response:
        return web.json_response({"jwks_uri": "https://keys.example/jwks"}, status=answers[0])

    application = web.Application()
    application.router.add_get("/.well-known/openid-configuration", configuration)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        rule = {"issuer": f"http://127.0.0.1:{runner.addresses[0][1]}"}
        tokens = d.document("security.istio.io/v1", "RequestAuthentication", "jwt", spec={"jwtRules": [rule]})
        async with running() as (cluster, control):
            await cluster.http.create(kinds.REQUEST_AUTHENTICATION, tokens, "shop")

            async def refused() -> bool:
                said = [each for each in control.pipeline.problems if each.code == "PLT0411"]
                return any(each.severity == "error" and "it answers 503" in each.message for each in said)

            async def known() -> bool:
                (found,) = control.pipeline.mesh.l7.authentication["shop/jwt"].rules
                return found.jwks_uri == "https://keys.example/jwks" and not control.pipeline.problems

            await until(refused, 30)
            answers[0] = 200
            await until(known, 30)
    finally:
        await runner.cleanup()
