"""Issuers of tokens are asked where their keys are, for each RequestAuthentication that says neither jwks nor jwksUri.

Only the place is learned here: the keys are fetched from it by the proxies, as from a jwksUri that was written. What an
issuer said last counts until it says something else, and is on disk, so that neither its absence nor ours refuses
tokens that were accepted.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from plait.base import aio
from plait.base.observe import logger
from plait.model.index import index_of
from plait.model.issuers import Provider, Providers, configuration, jwks_uri
from plait.model.mesh import Mesh

AGAIN = 1200.0
"""Seconds after which an issuer that answered is asked again."""
SLOWEST = 60.0
"""Seconds between two tries of one that does not, in the end."""
LARGEST = 1 << 16
"""Bytes of a configuration; the usual ones have 1 to 4 KB."""
_AT_ONCE, _REDIRECTS, _BLOCK = 8, 3, 1 << 13
_log = logger("discovery")


class Discovery:
    """`wanted(issuers)` after each change, with the seconds to wait for each; `found` is told what is known of them."""

    def __init__(
        self,
        found: Callable[[Providers], None],
        mesh: Callable[[], Mesh],
        kept: Path | None = None,
        first: float = 1.0,
    ) -> None:
        self._found, self._mesh, self._kept, self._first = found, mesh, kept, first
        self._providers: Providers = _read(kept)
        self._patience: Mapping[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None
        found(self._providers)

    def wanted(self, issuers: Mapping[str, float]) -> None:
        self._patience = issuers
        for issuer in issuers.keys() - self._asking.keys():
            self._asking[issuer] = aio.spawn(self._follow(issuer), f"discovery of {issuer}")
        for issuer in self._asking.keys() - issuers.keys():
            self._asking.pop(issuer).cancel()
        if gone := self._providers.keys() - issuers.keys():
            self._tell({issuer: each for issuer, each in self._providers.items() if issuer not in gone})

    async def close(self) -> None:
        await aio.cancel(*self._asking.values())
        if self._session is not None:
            await self._session.close()

    async def _follow(self, issuer: str) -> None:
        retries = aio.backoff(self._first, SLOWEST)
        while True:
            provider = await self._asked(issuer)
            if provider != self._providers.get(issuer):
                _log.info("issuer", name=issuer, jwks_uri=provider.jwks_uri, wrong=provider.wrong)
                self._tell({**self._providers, issuer: provider})
            if provider.wrong:
                await asyncio.sleep(next(retries))
            else:
                retries = aio.backoff(self._first, SLOWEST)
                await asyncio.sleep(AGAIN)

    def _tell(self, providers: Providers) -> None:
        self._providers = providers
        self._keep()
        self._found(providers)

    async def _asked(self, issuer: str) -> Provider:
        before = self._providers.get(issuer, Provider())
        try:
            async with self._few, asyncio.timeout(self._patience.get(issuer)):
                return Provider(jwks_uri(await self._answer(configuration(issuer))))
        except TimeoutError:
            wrong = "no answer in time"
        except (aiohttp.ClientError, OSError) as error:
            wrong = _words(error)
        except ValueError as error:
            wrong = str(error)
        return Provider(before.jwks_uri, wrong)

    async def _answer(self, url: str) -> bytes:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_Names(self._mesh), use_dns_cache=False, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        content = bytearray()
        async with self._session.get(url, max_redirects=_REDIRECTS) as response:
            if response.status != 200:
                raise ValueError(f"it answers {response.status}")
            async for block in response.content.iter_chunked(_BLOCK):
                content += block
                if len(content) > LARGEST:
                    raise ValueError(f"its answer is longer than {LARGEST} bytes")
        return bytes(content)

    def _keep(self) -> None:
        if self._kept is None:
            return
        known = {issuer: each.jwks_uri for issuer, each in self._providers.items() if each.jwks_uri}
        try:
            new = self._kept.with_suffix(".new")
            new.write_bytes(msgspec.json.encode(known))
            new.replace(self._kept)
        except OSError as error:  # what is told now does not depend on it
            _log.warning("what issuers said cannot be kept", file=self._kept, error=error)


def _read(kept: Path | None) -> dict[str, Provider]:
    if kept is None or not kept.exists():
        return {}
    try:
        known = msgspec.json.decode(kept.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("what issuers said before cannot be read; they are asked first", error=error)
        return {}
    return {issuer: Provider(uri) for issuer, uri in known.items()}


def _words(error: Exception) -> str:
    """What went wrong, for people: certificate, name or connection."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name leads nowhere"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"it cannot be reached ({error.strerror or error.os_error})"
    return " ".join(str(error).split())[:200] or type(error).__name__


def places(mesh: Mesh, host: str, port: int) -> Sequence[tuple[str, int]]:
    """Where a service of the mesh is served: we may have neither the cluster's DNS nor its service addresses."""
    domain = mesh.settings.cluster_domain
    index, found = index_of(mesh), []
    names = (host, f"{host}.{domain}", f"{host}.svc.{domain}")
    for service in (each for name in names for each in index.by_hostname.get(name.lower(), ())):
        for workload in index.workloads_of(service.key):
            joined = next(each for each in workload.services if each.service == service.key)
            targets = {each.service: each.target or each.service for each in (*service.ports, *joined.ports)}
            if workload.healthy and port in targets:
                found += [(address, targets[port]) for address in workload.addresses]
    return found


class _Names(AbstractResolver):
    """Of the mesh where it has them, else the machine's."""

    def __init__(self, mesh: Callable[[], Mesh]) -> None:
        self._mesh, self._rest = mesh, aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if not (found := places(self._mesh(), host.removesuffix("."), port)):
            return await self._rest.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=target,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address, target in found
        ]

    async def close(self) -> None:
        await self._rest.close()
