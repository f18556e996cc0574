"""Real gRPC in one process: server and client on a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import grpc
import pytest

from kit.rounds import rounds
from plait.base.aio import cancel, spawn
from plait.base.bundle import Bundle, Resource
from plait.base.type_urls import ADDRESS, AUTHORIZATION, CLUSTER
from plait.xds import messages
from plait.xds.cache import Cache
from plait.xds.client import Client, Rejected
from plait.xds.messages import Node, Request, Response
from plait.xds.server import Denied, Peer, Server
from plait.xds.session import SessionState

Call = grpc.aio.StreamStreamCall


def made(name: str, content: str = "1", *aliases: str) -> Resource:
    return Resource(name, content, content.encode(), aliases)


def bundle(**resources: Resource) -> Bundle:
    return Bundle({ADDRESS: {r.name: r for r in resources.values()}})


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Callable[[Cache], Awaitable[str]]]:
    servers: list[Server] = []

    async def start(cache: Cache) -> str:
        async def connect(peer: Peer, request: Request) -> Cache:
            if peer.metadata.get("authorization") == "Bearer wrong":
                raise Denied("UNAUTHENTICATED", "this token is not known")
            return cache

        server = Server(connect)
        address = f"unix:{tmp_path}/xds{len(servers)}.sock"
        await server.start(address)
        servers.append(server)
        return address

    yield start
    for server in servers:
        await server.stop()


async def opened(channel: grpc.aio.Channel, **metadata: str) -> Call:
    call = channel.stream_stream(f"/{messages.SERVICE}/{messages.METHOD}")
    stream: Call = call(metadata=tuple(metadata.items()))
    return stream


async def asked(stream: Call, request: Request) -> Response:
    await stream.write(messages.write_request(request))
    return messages.read_response(await asyncio.wait_for(stream.read(), 10))


async def test_a_wildcard_gets_everything_and_later_changes_unasked(serve) -> None:
    cache = Cache(bundle(a=made("a"), b=made("b")))
    async with grpc.aio.insecure_channel(await serve(cache)) as channel:
        stream = await opened(channel)
        first = await asked(stream, Request(ADDRESS, node=Node("ztunnel~1.2.3.4~z.istio-system~x")))
        assert [r.name for r in first.resources] == ["a", "b"]
        cache.set(bundle(a=made("a", "2")))
        later = messages.read_response(await asyncio.wait_for(stream.read(), 10))
        assert ([(r.name, r.value) for r in later.resources], later.removed) == ([("a", b"2")], ("b",))


@pytest.mark.reliability(number=27)
async def test_bytes_that_are_no_request_end_only_their_own_stream(serve) -> None:
    cache = Cache(bundle(a=made("a")))
    async with grpc.aio.insecure_channel(await serve(cache)) as channel:
        good, bad = await opened(channel), await opened(channel)
        await asked(good, Request(ADDRESS))
        await bad.write(b"\xff\xff\xff\xff")
        assert await bad.code() is grpc.StatusCode.INVALID_ARGUMENT
        cache.set(bundle(a=made("a", "2")))
        assert messages.read_response(await asyncio.wait_for(good.read(), 10)).resources[0].version == "2"


async def test_a_request_without_type_is_an_invalid_argument(serve) -> None:
    async with grpc.aio.insecure_channel(await serve(Cache())) as channel:
        stream = await opened(channel)
        await stream.write(messages.write_request(Request("")))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stream.read()
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.reliability(number=27)
async def test_a_denied_caller_hears_why(serve) -> None:
    async with grpc.aio.insecure_channel(await serve(Cache())) as channel:
        stream = await opened(channel, authorization="Bearer wrong")
        await stream.write(messages.write_request(Request(ADDRESS)))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stream.read()
        assert (error.value.code(), error.value.details()) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "this token is not known",
        )


@pytest.mark.reliability(number=27)
async def test_strangers_get_nothing_hold_nothing_and_slow_nobody(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Half of them have a token that nobody knows, the others never say anything; each has a connection of its own."""
    cache, count = Cache(bundle(a=made("a"))), rounds(200)

    async def connect(peer: Peer, request: Request) -> Cache:
        if peer.metadata.get("authorization") != "Bearer right":
            raise Denied("UNAUTHENTICATED", "this token is not known")
        return cache

    server, address = Server(connect, silent=3.0), f"unix:{tmp_path}/xds.sock"
    await server.start(address)
    own = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(address) as channel, contextlib.AsyncExitStack() as held:
        good = await opened(channel, authorization="Bearer right")
        await asked(good, Request(ADDRESS))

        async def pushed(version: str) -> float:
            began = time.monotonic()
            cache.set(bundle(a=made("a", version)))
            found = messages.read_response(await asyncio.wait_for(good.read(), 30))
            assert found.resources[0].version == version
            return time.monotonic() - began

        async def stranger(number: int) -> grpc.StatusCode:
            theirs = await held.enter_async_context(grpc.aio.insecure_channel(address, options=own))
            stream = await opened(theirs, authorization="Bearer wrong")
            if number % 2:
                await stream.write(messages.write_request(Request(ADDRESS)))
            assert await stream.read() is grpc.aio.EOF, "nothing is told to strangers"
            return await stream.code()

        quiet = [await pushed(f"quiet-{number}") for number in range(20)]
        before = _resident()
        strangers = [asyncio.ensure_future(_ended(stranger(number))) for number in range(count)]
        beside = [await pushed(f"beside-{number}") for number in range(20)]
        codes = set(await asyncio.gather(*strangers))
        assert codes == {grpc.StatusCode.UNAUTHENTICATED}
        assert server.streams == 1
        record_property(
            "figure",
            f"{count} strangers: {(_resident() - before) / 1e6:.0f} MB more in both sides' process, a push took "
            f"{statistics.median(beside) * 1e3:.1f} ms ({statistics.median(quiet) * 1e3:.1f} without them)",
        )
    await server.stop()


async def _ended(call: Awaitable[grpc.StatusCode]) -> grpc.StatusCode:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        return error.code()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_the_cache_forgets_a_client_that_left(serve) -> None:
    cache = Cache(bundle(a=made("a")))
    async with grpc.aio.insecure_channel(await serve(cache)) as channel:
        stream = await opened(channel)
        await asked(stream, Request(ADDRESS))
        assert len(list(cache.statistics())) == 1
    async with asyncio.timeout(10):
        while list(cache.statistics()):
            await asyncio.sleep(0.01)


async def test_an_on_demand_name_is_answered_by_the_lookup(serve) -> None:
    cache = Cache(lookup=lambda url, name: made(name, "looked up") if url == CLUSTER else None)
    async with grpc.aio.insecure_channel(await serve(cache)) as channel:
        stream = await opened(channel)
        answer = await asked(stream, Request(CLUSTER, subscribe=("out|10.0.0.1:80",)))
        assert (answer.resources[0].name, answer.removed) == ("out|10.0.0.1:80", ())


@pytest.mark.reliability(number=8)
async def test_our_client_follows_the_server_and_survives_its_restart(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/restart.sock"
    cache = Cache(Bundle({ADDRESS: {"a": made("a"), "b": made("b")}, AUTHORIZATION: {"p": made("p")}}))

    async def connect(peer: Peer, request: Request) -> Cache:
        return cache

    seen: dict[str, dict[str, str]] = {ADDRESS: {}, AUTHORIZATION: {}}
    heard: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
    changed = asyncio.Event()

    def on_delta(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        heard.append((url, tuple(r.name for r in resources), removed))
        seen[url].update({r.name: r.version for r in resources})
        for name in removed:
            del seen[url][name]
        changed.set()

    server = Server(connect)
    await server.start(address)
    client = Client(address, Node("n"), (AUTHORIZATION, ADDRESS), on_delta)
    task = spawn(client.run(), "client")
    try:
        await asyncio.wait_for(client.synced(), 10)
        assert seen == {ADDRESS: {"a": "1", "b": "1"}, AUTHORIZATION: {"p": "1"}}
        await server.stop()
        cache.set(Bundle({ADDRESS: {"b": made("b"), "c": made("c")}, AUTHORIZATION: {"p": made("p")}}))
        heard.clear()
        server = Server(connect)
        await server.start(address)
        async with asyncio.timeout(20):
            while seen[ADDRESS] != {"b": "1", "c": "1"}:
                changed.clear()
                await changed.wait()
        assert (ADDRESS, ("c",), ("a",)) in heard, "what the client still had was not sent again"
    finally:
        await cancel(task)
        await server.stop()


async def test_a_delta_our_client_rejects_is_refused_on_the_wire(serve) -> None:
    cache = Cache(bundle(a=made("a")))

    def on_delta(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        raise Rejected("a is nonsense")

    task = spawn(Client(await serve(cache), Node("n"), (ADDRESS,), on_delta).run(), "client")
    try:
        async with asyncio.timeout(10):
            while not any(s.types[ADDRESS].refused for s in cache.statistics() if ADDRESS in s.types):
                await asyncio.sleep(0.01)
        (state,) = cache.statistics()
        assert state.types[ADDRESS].refused == {"a": "a is nonsense"}
    finally:
        await cancel(task)


async def test_who_relays_acknowledges_when_those_it_serves_have(tmp_path: Path) -> None:
    cache, done = Cache(bundle(a=made("a"))), asyncio.Event()
    waiting: list[asyncio.Future[None]] = []

    async def connect(peer: Peer, request: Request) -> Cache:
        return cache

    def applied() -> asyncio.Future[None]:
        waiting.append(asyncio.get_running_loop().create_future())
        done.set()
        return waiting[-1]

    server = Server(connect)
    await server.start(f"unix:{tmp_path}/s")
    client = Client(f"unix:{tmp_path}/s", Node("relay"), (ADDRESS,), lambda *delta: None, applied=applied)
    task = spawn(client.run(), "client")
    try:
        cache.set(bundle(a=made("a", "2")))
        async with asyncio.timeout(10):
            await done.wait()
            await asyncio.sleep(0.1)
            assert list(cache.behind(cache.generation)) == ["relay"]
            for each in waiting:
                each.set_result(None)
            while list(cache.behind(cache.generation)):
                await asyncio.sleep(0.01)
    finally:
        await cancel(task)
        await server.stop()


async def test_who_relays_passes_a_refusal_on_and_its_end(tmp_path: Path) -> None:
    above, below = Cache(bundle(a=made("a"), b=made("b"))), Cache()

    async def from_above(peer: Peer, request: Request) -> Cache:
        return above

    async def from_below(peer: Peer, request: Request) -> Cache:
        return below

    def take(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        below.set(Bundle({ADDRESS: {**below.of(ADDRESS), **{r.name: r for r in resources}}}))

    def apply(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        if bad := [r.name for r in resources if r.value == b"bad"]:
            raise Rejected(f"cannot take {bad[0]}")

    def refused() -> dict[str, str]:
        (state,) = above.statistics()
        assert isinstance(state, SessionState)
        return dict(state.types[ADDRESS].refused)

    async def told(wanted: dict[str, str]) -> None:
        async with asyncio.timeout(10):
            while not list(above.statistics()) or refused() != wanted:
                await asyncio.sleep(0.01)

    relay = Client(f"unix:{tmp_path}/above", Node("relay"), (ADDRESS,), take)

    def judge(url: str, words: Mapping[str, str]) -> None:
        relay.judge(url, "; ".join(dict.fromkeys(words.values())))

    upper, lower = Server(from_above), Server(from_below, judged=judge)
    await upper.start(f"unix:{tmp_path}/above")
    await lower.start(f"unix:{tmp_path}/below")
    envoy = Client(f"unix:{tmp_path}/below", Node("envoy"), (ADDRESS,), apply)
    tasks = [asyncio.create_task(each.run()) for each in (relay, envoy)]
    try:
        await asyncio.wait_for(envoy.synced(), 10)
        above.set(bundle(a=made("a", "bad"), b=made("b")))
        await told({"a": "cannot take a"})
        above.set(bundle(a=made("a", "bad"), b=made("b", "2")))
        await asyncio.sleep(0.2)
        await told({"a": "cannot take a"})
        above.set(bundle(a=made("a", "3"), b=made("b", "2")))
        await told({})
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await upper.stop()
        await lower.stop()
