"""Our admission webhooks (the injector, and what holds pods that leave): an HTTPS server on 15017, and how the API
server knows of them.

The registration is compared every few seconds, so that somebody else's change is mended and a change of the mesh's root
is followed: the API server knows a root before a certificate under it is shown, and the old one while that is shown.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from aiohttp import web

from plait.app import leaving
from plait.app.serving import ServingCertificate
from plait.base.observe import logger
from plait.identity.trust import Trust
from plait.inject import configuration, review
from plait.inject.injector import Config
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Api, ApiError, Document

_log = logger("webhooks")
_EVERY = 3.0
_MANAGER = "plait-injector"
_MOST_BYTES = 8 << 20


class Webhooks:
    """`start`, then `run` until cancelled, then `close`."""

    def __init__(
        self,
        api: Api,
        trust: Callable[[], Trust],
        config: Config,
        now: Callable[[Config], Config] = lambda c: c,
        hold: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        """`now` completes `config` with what the mesh says at the moment. `hold` returns when a pod may be deleted."""
        self._api, self._trust, self._config, self._now, self._hold = api, trust, config, now, hold
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._runner: web.AppRunner | None = None
        self._url = ""
        self.certificate: ServingCertificate | None = None

    async def start(self, host: str, addresses: Sequence[IPv4Address | IPv6Address], port: int) -> int:
        """Serves and is registered once; returns the port really bound (for port 0)."""
        self.certificate = ServingCertificate(self._trust, addresses)
        self._renew(self.certificate)
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post(configuration.PATH, self._inject)
        app.router.add_post(leaving.PATH, self._leave)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        bound = int(self._runner.addresses[0][1])
        self._url = f"https://{addresses[0]}:{bound}"
        await self.look()
        return bound

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.look()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def look(self) -> None:
        """Registration and certificate as they should be. What fails is tried at the next look."""
        assert self.certificate is not None
        bundle = self._trust().bundle
        injector = configuration.configuration(f"{self._url}{configuration.PATH}", bundle, self._config.revision)
        try:
            await self._register(kinds.MUTATING_WEBHOOK, injector)
            if self._hold is not None:
                held = leaving.configuration(f"{self._url}{leaving.PATH}", bundle)
                await self._register(kinds.VALIDATING_WEBHOOK, held)
        except (ApiError, OSError) as error:
            _log.warning("webhooks are not registered as they should be", error=error)
            return
        if self.certificate.outdated:
            self._renew(self.certificate)

    async def _register(self, kind: Kind, wanted: Document) -> None:
        name = wanted["metadata"]["name"]
        try:
            found = await self._api.get(kind, name)
        except ApiError as error:
            if error.code != 404:
                raise
            found = {}
        if _webhooks(found) != _webhooks(wanted):
            await self._api.patch(kind, name, wanted, type="apply", manager=_MANAGER, force=True)
            _log.info("registered", webhook=name, url=self._url)

    def _renew(self, certificate: ServingCertificate) -> None:
        key, chain = certificate.issue()
        with tempfile.TemporaryDirectory() as folder:  # Python reads certificates from files only
            file = Path(folder) / "certificate.pem"
            file.touch(mode=0o600)
            file.write_bytes(key + chain)
            self._tls.load_cert_chain(file)

    async def _inject(self, request: web.Request) -> web.Response:
        try:
            asked = review.request(await request.json())
        except ValueError as error:
            return web.Response(status=400, text=f"no AdmissionReview: {error}\n")
        try:
            labels = await self._labels(str(asked.get("namespace") or ""))
            answer = review.answer(asked, labels, self._now(self._config))
        except (ApiError, OSError) as error:
            answer = review.denied(asked, f"the injector cannot read the namespace now: {error}; try again", 500)
        except Exception as error:  # a defect of ours refuses this one pod
            _log.error("not injected", pod=asked.get("name"), namespace=asked.get("namespace"), exc_info=error)
            answer = review.denied(asked, f"the injector failed: {error!r}; see the control plane's log", 500)
        if not answer["response"]["allowed"]:
            message = answer["response"]["status"]["message"]
            _log.info("pod refused", pod=asked.get("name"), namespace=asked.get("namespace"), reason=message)
        return web.json_response(answer)

    async def _leave(self, request: web.Request) -> web.Response:
        try:
            asked = review.request(await request.json())
        except ValueError as error:
            return web.Response(status=400, text=f"no AdmissionReview: {error}\n")
        if self._hold is not None and (pod := leaving.subject(asked)) is not None:
            await self._hold(*pod)
        return web.json_response(review.allowed(asked))

    async def _labels(self, namespace: str) -> dict[str, str]:
        """Of the namespace as it is now: a label may be younger than what an informer has heard."""
        found = await self._api.get(kinds.NAMESPACE, namespace)
        return found["metadata"].get("labels") or {}


def _webhooks(document: Document) -> list[Any]:
    """What of a registration is ours to say, in one spelling."""
    return [
        {key: _plain(hook.get(key)) for key in ("name", "clientConfig", "rules", "namespaceSelector", "objectSelector")}
        | {"failurePolicy": hook.get("failurePolicy")}
        for hook in document.get("webhooks") or ()
    ]


def _plain(value: Any) -> Any:
    """Without what a server fills in."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if (name, each) != ("scope", "*")}
    return value
