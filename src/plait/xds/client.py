"""A delta-ADS client: subscribes to whole types, hands each delta on, reconnects and says what it already holds.

`on_delta(type_url, resources, removed)` may raise `Rejected`: the delta is refused (NACK) and its versions are not
remembered, so that a later reconnect asks for them again. Of a relay, `applied()` says right after on_delta what to
wait for before it is acknowledged: that those it serves have answered (None: nobody is there).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import grpc

from plait.base.aio import backoff, cancel, spawn
from plait.base.bundle import Resource
from plait.base.observe import logger
from plait.xds import messages
from plait.xds.messages import Node, Request
from plait.xds.server import OPTIONS

_log = logger("xds")
OnDelta = Callable[[str, tuple[Resource, ...], tuple[str, ...]], None]
Applied = Callable[[], asyncio.Future[None] | None]
Metadata = Callable[[], Awaitable[Sequence[tuple[str, str]]]]


class Rejected(ValueError):
    """Raised by on_delta: nothing of this delta was taken; the message goes to the server."""


async def _no_metadata() -> Sequence[tuple[str, str]]:
    return ()


class Client:
    """`await Client(address, node, types, on_delta).run()` until cancelled."""

    def __init__(
        self,
        address: str,
        node: Node,
        types: Sequence[str],
        on_delta: OnDelta,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = _no_metadata,
        on_state: Callable[[bool, str], None] | None = None,
        override_authority: str = "",
        explicit: bool = False,
        applied: Applied = lambda: None,
    ) -> None:
        """`explicit`: say the wildcard by name (types that have none by themselves: endpoints, routes).

        `metadata()` is awaited before each connection (tokens expire); `on_state(connected, why)` hears of both.

        `override_authority` is the name checked against the server's certificate when `address` is an IP.
        """
        self._address = address
        self._node = node
        self._types = types
        self._on_delta = on_delta
        self._credentials = credentials
        self._metadata = metadata
        self._on_state = on_state or (lambda connected, why: None)
        self._authority = override_authority
        self._applied = applied
        self._answering: set[asyncio.Task[None]] = set()
        self._wishes: tuple[str, ...] = ("*",) if explicit else ()
        self._held: dict[str, dict[str, str]] = {type_url: {} for type_url in types}
        self._nonces: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._stream_now: grpc.aio.StreamStreamCall[bytes, bytes] | None = None
        self._speaking = asyncio.Lock()
        self._synced: set[str] = set()
        self._complete = asyncio.Event()

    def judge(self, type_url: str, error: str) -> None:
        """Of a relay: whoever applies this type refuses something of what was taken here; "" when no more."""
        if error == self._refused.get(type_url, ""):
            return
        if error:
            self._refused[type_url] = error
        else:
            del self._refused[type_url]
        if self._stream_now is not None and type_url in self._nonces:
            spawn(self._judgement(self._stream_now, type_url), "verdict on configuration")

    def trust(self, credentials: grpc.ChannelCredentials) -> None:
        """For the next connection; the present one stays."""
        self._credentials = credentials

    async def synced(self) -> None:
        """Wait until every type has been answered once."""
        await self._complete.wait()

    async def run(self) -> None:
        delays = backoff()
        while True:
            why = "the server closed the stream"
            try:
                if await self._stream():
                    delays = backoff()
            except grpc.aio.AioRpcError as error:
                why = f"{error.code().name}: {error.details()}"
            except OSError as error:
                why = str(error)
            self._on_state(False, why)
            _log.info("discovery stream ended", server=self._address, reason=why)
            await asyncio.sleep(next(delays))

    async def _stream(self) -> bool:
        """One connection until it ends; True when anything was heard on it."""
        async with self._channel() as channel:
            stream = channel.stream_stream(f"/{messages.SERVICE}/{messages.METHOD}")(
                metadata=tuple(await self._metadata())
            )
            try:
                return await self._converse(stream)
            except asyncio.InvalidStateError:  # written to a call that had just ended: the server's words say why
                raise ConnectionError(f"{(await stream.code()).name}: {await stream.details()}") from None
            finally:
                await cancel(*self._answering)

    async def _converse(self, stream: grpc.aio.StreamStreamCall[bytes, bytes]) -> bool:
        heard = False
        self._stream_now, self._nonces = stream, {}
        node: Node | None = self._node
        for type_url in self._types:
            request = Request(type_url, subscribe=self._wishes, versions=self._held[type_url], node=node)
            await self._say(stream, request)
            node = None
        while (data := await stream.read()) is not grpc.aio.EOF:
            if not heard:
                heard = True
                self._on_state(True, "")
            answer = self._heard(data)
            applied = self._applied() if answer.error is None else None
            if applied is None:
                await self._answer(stream, answer)
            else:
                answering = spawn(self._answer_later(stream, answer, applied), "answer to the control plane")
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
        return heard

    async def _answer_later(
        self, stream: grpc.aio.StreamStreamCall[bytes, bytes], answer: Request, applied: asyncio.Future[None]
    ) -> None:
        await applied
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the stream's reader says why
            await self._answer(stream, answer)

    async def _answer(self, stream: grpc.aio.StreamStreamCall[bytes, bytes], answer: Request) -> None:
        await self._say(stream, answer)
        self._nonces[answer.type_url] = answer.nonce
        if answer.type_url in self._refused:
            await self._judgement(stream, answer.type_url)

    async def _say(self, stream: grpc.aio.StreamStreamCall[bytes, bytes], request: Request) -> None:
        async with self._speaking:
            await stream.write(messages.write_request(request))

    async def _judgement(self, stream: grpc.aio.StreamStreamCall[bytes, bytes], type_url: str) -> None:
        error = self._refused.get(type_url)
        try:
            await self._say(stream, Request(type_url, nonce=self._nonces[type_url], error=error))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, KeyError):
            pass  # the stream has ended; the next one hears it after its first answer

    def _heard(self, data: bytes) -> Request:
        response = messages.read_response(data)
        url = response.type_url
        error: str | None = None
        try:
            self._on_delta(url, response.resources, response.removed)
        except Rejected as rejected:
            error = str(rejected)
            _log.warning("delta rejected", type=url, reason=error)
        else:
            held = self._held.setdefault(url, {})
            for name in response.removed:
                held.pop(name, None)
            held.update({resource.name: resource.version for resource in response.resources})
        self._synced.add(url)
        if self._synced.issuperset(self._types):
            self._complete.set()
        return Request(url, nonce=response.nonce, error=error)

    def _channel(self) -> grpc.aio.Channel:
        options = list(OPTIONS)
        if self._authority:
            options += [("grpc.ssl_target_name_override", self._authority), ("grpc.default_authority", self._authority)]
        # Our own backoff decides when to try again; gRPC's would sit on top of it for up to two minutes.
        options += [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 1000)]
        if self._credentials is not None:
            return grpc.aio.secure_channel(self._address, self._credentials, options=options)
        return grpc.aio.insecure_channel(self._address, options=options)
