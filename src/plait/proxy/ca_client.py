"""Ask the mesh's authority for a certificate: one gRPC call with a bearer token over TLS.

Keys never pass here, only requests signed with them. When and for whom to ask is `certs`' business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc

from plait.base.certification import IMPERSONATED, METHOD, SERVICE, Request, Response
from plait.proxy.certs import CaError, Issued

Token = Callable[[], Awaitable[str]]
_ANSWER_SECONDS = 10.0


class CaClient:
    """`roots` is the PEM bundle the server must chain to; None talks plaintext (tests only)."""

    def __init__(self, address: str, token: Token, roots: bytes | None, server_name: str = "") -> None:
        self._token, self._address = token, address
        options: list[tuple[str, str | int]] = [
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if server_name:
            options += [("grpc.ssl_target_name_override", server_name), ("grpc.default_authority", server_name)]
        self._options = options
        self._retired: list[grpc.aio.Channel] = []
        self._open(roots)

    def _open(self, roots: bytes | None) -> None:
        if roots is None:
            self._channel = grpc.aio.insecure_channel(self._address, self._options)
        else:
            self._channel = grpc.aio.secure_channel(self._address, grpc.ssl_channel_credentials(roots), self._options)
        self._call = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")

    def trust(self, roots: bytes) -> None:
        """From the next request on the server must chain to one of these roots; requests under way end as they were."""
        self._retired.append(self._channel)
        self._open(roots)

    async def certify(self, csr: str, identity: str, lifetime: float) -> Issued:
        """A certificate for `identity` (not our own: a pod's of this node)."""
        request = Request(csr=csr, validity_duration=int(lifetime))
        request.metadata.update({IMPERSONATED: identity})
        metadata = (("authorization", f"Bearer {await self._token()}"),)
        try:
            body = await self._call(request.SerializeToString(), metadata=metadata, timeout=_ANSWER_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise CaError(f"{error.code().name}: {error.details()}") from error
        chain = list(Response.FromString(body).cert_chain)
        if len(chain) < 2:
            raise CaError("the authority answered without a certificate or without roots")
        return Issued(tuple(chain[:-1]), chain[-1])

    async def close(self) -> None:
        for channel in (self._channel, *self._retired):
            await channel.close()
