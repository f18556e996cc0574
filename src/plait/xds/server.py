"""Delta ADS over gRPC, as TCP with TLS and on unix sockets: the shell around `session`.

`connect(peer, first request)` decides which Cache a stream gets, or refuses it (`Denied`). Other gRPC services of the
same process (certificates) come in as generic handlers. Malformed input ends the stream it came on, nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import grpc

from plait.base.aio import cancel, spawn
from plait.base.observe import logger
from plait.xds import messages
from plait.xds.cache import Cache
from plait.xds.messages import Request, Response
from plait.xds.session import Refused, Session
from plait.xds.types import DEFAULT, Rules

_log = logger("xds")
_REMEMBERED = 4096
"""Answers of which it is known when they came."""
_SILENT = 15.0
"""Seconds a caller may take for its first request, by which it is known: strangers hold no streams."""
_MAX_MESSAGE = 200 * 1024 * 1024
OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who opened the stream: gRPC metadata (lower-case keys), transport address, client certificate's identities."""

    metadata: Mapping[str, str]
    address: str
    identities: tuple[str, ...] = ()


class Answered(NamedTuple):
    """When one response was sent and answered, in seconds of the machine's monotonic clock."""

    type_url: str
    sent: float
    at: float


class Denied(Exception):
    """`connect` raises it: this caller gets no stream."""

    def __init__(self, code: Literal["UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE"], message: str) -> None:
        super().__init__(message)
        self.code = code


Connect = Callable[[Peer, Request], Awaitable[Cache]]
Judged = Callable[[str, Mapping[str, str]], None]
"""(type, what is refused of it: name and the client's words), after each answer of a client."""


class Server:
    """`await Server(connect).start("unix:/…/xds.sock")`; several addresses may be served."""

    def __init__(
        self,
        connect: Connect,
        *,
        rules: Rules = DEFAULT,
        services: Sequence[grpc.GenericRpcHandler] = (),
        judged: Judged = lambda url, refused: None,
        silent: float = _SILENT,
    ) -> None:
        self._connect = connect
        self._judged = judged
        self._rules = rules
        self._services = services
        self._silent = silent
        self._server: grpc.aio.Server | None = None
        self.streams = 0
        """Streams that are open now."""
        self.answered: deque[Answered] = deque(maxlen=_REMEMBERED)

    async def start(self, *addresses: str, credentials: grpc.ServerCredentials | None = None) -> tuple[int, ...]:
        """Serve on every address (`unix:/path` or `ip:port`); returns the bound ports. OSError where one is taken."""
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((self._handler(), *self._services))
        ports: list[int] = []
        for address in addresses:
            try:
                secure = credentials is not None and not address.startswith("unix:")
                bound = server.add_secure_port(address, credentials) if secure else server.add_insecure_port(address)
            except RuntimeError as error:
                raise OSError(f"cannot listen on {address}: {error}") from error
            if bound == 0:
                raise OSError(f"cannot listen on {address}")
            ports.append(bound)
        await server.start()
        self._server = server
        return tuple(ports)

    async def stop(self, grace: float | None = None) -> None:
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None

    def _received(self, session: Session, request: Request) -> list[Response]:
        if request.error is not None:
            _log.warning("configuration refused", node=session.node.id, type=request.type_url, reason=request.error)
        found = session.receive(request)
        if request.nonce:
            self._judged(request.type_url, session.refused(request.type_url))
        return found

    def _handler(self) -> grpc.GenericRpcHandler:
        method = grpc.stream_stream_rpc_method_handler(
            self._stream, request_deserializer=None, response_serializer=None
        )
        return grpc.method_handlers_generic_handler(messages.SERVICE, {messages.METHOD: method})

    async def _stream(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        self.streams += 1
        try:
            await self._serve(requests, context)
        except (messages.Malformed, Refused) as error:
            _log.warning("discovery stream refused", peer=context.peer(), reason=error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Denied as error:
            _log.warning("discovery stream denied", peer=context.peer(), reason=error)
            await context.abort(grpc.StatusCode[error.code], str(error))
        finally:
            self.streams -= 1

    async def _serve(self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        try:
            async with asyncio.timeout(self._silent):
                first = await anext(aiter(requests), None)
        except TimeoutError:
            raise Denied("UNAUTHENTICATED", f"no request within {self._silent:g} s") from None
        if first is None:
            return
        request = messages.read_request(first)
        cache = await self._connect(_peer(context), request)
        session = Session(cache, self._rules)
        news = asyncio.Event()
        inbox: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=64)
        reader = spawn(_read(requests, inbox, news), "xds reader")
        cache.attach(session, news.set)
        try:
            sent: dict[str, float] = {}
            await _write(context, session.receive(request), sent)
            while True:
                await news.wait()
                news.clear()
                while not inbox.empty():
                    data = inbox.get_nowait()
                    if data is None:
                        return
                    request = messages.read_request(data)
                    if (at := sent.pop(request.nonce, None)) is not None:
                        self.answered.append(Answered(request.type_url, at, time.monotonic()))
                    await _write(context, self._received(session, request), sent)
                await _write(context, session.refresh(), sent)
                cache.on_answer()
        finally:
            cache.detach(session)
            await cancel(reader)


async def _read(requests: AsyncIterator[bytes], inbox: asyncio.Queue[bytes | None], news: asyncio.Event) -> None:
    try:
        async for data in requests:
            await inbox.put(data)
            news.set()
    except grpc.RpcError:
        pass  # the client went away
    await inbox.put(None)
    news.set()


async def _write(
    context: grpc.aio.ServicerContext[bytes, bytes], responses: list[Response], sent: dict[str, float]
) -> None:
    """`sent`: nonce -> when, of what waits for an answer."""
    for response in responses:
        sent[response.nonce] = time.monotonic()
        if len(sent) > _REMEMBERED:  # a client that never answers
            del sent[next(iter(sent))]
        await context.write(messages.write_response(response))


def _peer(context: grpc.aio.ServicerContext[bytes, bytes]) -> Peer:
    metadata = {str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    auth = context.auth_context()
    names = auth.get("x509_subject_alternative_name", ())
    return Peer(metadata, context.peer(), tuple(bytes(name).decode("utf-8", "replace") for name in names))
