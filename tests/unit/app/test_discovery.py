"""Issuers are asked, and asked again; what they said last stays; one that answers badly harms nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from kit import documents as d
from kit import worlds as w
from plait.app.discovery import LARGEST, Discovery, places
from plait.model.issuers import Provider, Providers
from plait.model.mesh import Mesh

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEYS = "https://keys.example/jwks"


@asynccontextmanager
async def issuer(handler: Handler) -> AsyncIterator[str]:
    """The URL of an issuer that answers all requests so."""
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def answering(_: web.Request) -> web.Response:
    return web.json_response({"jwks_uri": KEYS})


class Told:
    """What the pipeline is told."""

    def __init__(self) -> None:
        self.last: Providers = {}

    def __call__(self, providers: Providers) -> None:
        self.last = providers

    async def once(self, name: str, holds: Callable[[Provider], bool]) -> Provider:
        async with asyncio.timeout(10):
            while name not in self.last or not holds(self.last[name]):
                await asyncio.sleep(0.005)
        return self.last[name]


@asynccontextmanager
async def discovery(told: Told, mesh: Mesh | None = None, kept: Path | None = None) -> AsyncIterator[Discovery]:
    made = Discovery(told, lambda: mesh or Mesh(), kept, first=0.01)
    try:
        yield made
    finally:
        await made.close()


async def wrong(handler: Handler, patience: float = 5.0) -> str:
    told = Told()
    async with issuer(handler) as name, discovery(told) as asking:
        asking.wanted({name: patience})
        return (await told.once(name, lambda provider: bool(provider.wrong))).wrong


async def test_an_issuer_says_where_its_keys_are() -> None:
    paths = []

    async def noting(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return await answering(request)

    told = Told()
    async with issuer(noting) as name, discovery(told) as asking:
        asking.wanted({f"{name}/realm/": 5.0})
        assert await told.once(f"{name}/realm/", lambda _: True) == Provider(KEYS)
    assert paths == ["/realm/.well-known/openid-configuration"]


async def test_an_issuer_that_fails_is_asked_until_it_answers() -> None:
    answers = [503, 404, 200]

    async def failing(request: web.Request) -> web.StreamResponse:
        status = answers.pop(0) if len(answers) > 1 else 200
        return await answering(request) if status == 200 else web.Response(status=status)

    told = Told()
    async with issuer(failing) as name, discovery(told) as asking:
        asking.wanted({name: 5.0})
        assert (await told.once(name, lambda provider: bool(provider.wrong))).jwks_uri == ""
        assert await told.once(name, lambda provider: not provider.wrong) == Provider(KEYS)


async def test_too_long_an_answer_a_late_one_and_a_ring_of_redirects_are_told_in_words() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2 * LARGEST // 1024):
            await response.write(b" " * 1024)
        return response

    async def late(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(10)
        raise AssertionError

    async def ring(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(request.path)

    assert "longer than" in await wrong(endless)
    assert await wrong(late, 0.05) == "no answer in time"
    assert await wrong(ring)


async def test_one_that_is_away_is_told_and_its_last_word_stays_over_a_restart(tmp_path: Path) -> None:
    kept, told = tmp_path / "providers.json", Told()
    async with issuer(answering) as name, discovery(told, kept=kept) as asking:
        asking.wanted({name: 5.0})
        await told.once(name, lambda provider: bool(provider.jwks_uri))
    again = Told()
    async with discovery(again, kept=kept) as asking:
        assert again.last == {name: Provider(KEYS)}
        asking.wanted({name: 5.0})
        provider = await again.once(name, lambda each: bool(each.wrong))
        assert provider.jwks_uri == KEYS and "cannot be reached" in provider.wrong
        asking.wanted({})
        assert again.last == {}
    assert kept.read_bytes() == b"{}"


async def test_what_cannot_be_read_from_disk_is_asked_anew(tmp_path: Path) -> None:
    kept, told = tmp_path / "providers.json", Told()
    kept.write_text("{")
    async with issuer(answering) as name, discovery(told, kept=kept) as asking:
        assert told.last == {}
        asking.wanted({name: 5.0})
        await told.once(name, lambda provider: bool(provider.jwks_uri))


async def test_a_service_of_the_mesh_is_reached_at_its_pods() -> None:
    told = Told()
    async with issuer(answering) as url:
        port = int(url.rpartition(":")[2])
        mesh, _ = w.world(
            d.service("issuer", "10.0.9.1", port=8080, target=port),
            d.pod("issuer", "127.0.0.1", labels={"app": "issuer"}),
        )
        for host in ("issuer.shop", "issuer.shop.svc", "issuer.shop.svc.cluster.local"):
            assert list(places(mesh, host, 8080)) == [("127.0.0.1", port)]
        assert list(places(mesh, "issuer.shop", 81)) == []
        name = "http://issuer.shop.svc:8080"
        async with discovery(told, mesh) as asking:
            asking.wanted({name: 5.0})
            assert await told.once(name, lambda _: True) == Provider(KEYS)
