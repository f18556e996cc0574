"""How an admission webhook is reached: URL or Service to an address, TLS by its caBundle, one POST within its time.

Knows nothing of what is asked or answered; every failure is a HookFailed that says what went wrong where.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import functools
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import orjson

from plait.store.admission.reviews import Hook, HookFailed
from plait.store.api import Document
from plait.store.state import State

MOST_BYTES = 8 * 2**20
Address = tuple[str, int]
Resolve = Callable[[str, str, int], Address]


def resolver(state: State) -> Resolve:
    """Service -> the address of a ready endpoint: the API server's own namespace has no service proxy."""

    def resolve(namespace: str, name: str, port: int) -> Address:
        record = state.get(("", "services"), (namespace, name))
        if record is None:
            raise HookFailed(f'service "{name}" not found in namespace "{namespace}"')
        spec = record.document["spec"]
        if spec.get("type") == "ExternalName":
            return str(spec["externalName"]), port
        found = next((each for each in spec.get("ports") or () if each["port"] == port), None)
        if found is None:
            raise HookFailed(f'service "{name}" in namespace "{namespace}" has no port {port}')
        for slice_ in state.list(("discovery.k8s.io", "endpointslices"), namespace):
            labels = slice_.document["metadata"].get("labels") or {}
            if labels.get("kubernetes.io/service-name") == name:
                address = _endpoint(slice_.document, found.get("name") or "")
                if address is not None:
                    return address
        raise HookFailed(f'no endpoints available for service "{name}" in namespace "{namespace}"')

    return resolve


def _endpoint(slice_: Document, port_name: str) -> Address | None:
    port = next((p["port"] for p in slice_.get("ports") or () if (p.get("name") or "") == port_name), None)
    for endpoint in slice_.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready", True) and endpoint.get("addresses") and port:
            return str(endpoint["addresses"][0]), int(port)
    return None


class Caller:
    """Calls webhooks over one connection pool."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, hook: Hook, review: Document) -> Any:
        """The decoded answer. HookFailed when there is none in time."""
        config = hook.document.get("clientConfig") or {}
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=True)
        query = {"timeout": f"{hook.timeout}s"}
        context = _context(config.get("caBundle") or "")
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        url, name = self._target(config)
        if name:
            headers["Host"] = name
        try:
            async with (
                asyncio.timeout(hook.timeout),
                self._session.post(
                    url,
                    data=orjson.dumps(review),
                    params=query,
                    headers=headers,
                    ssl=context,
                    server_hostname=name.rpartition(":")[0] or None,
                    allow_redirects=False,
                ) as response,
            ):
                raw = await response.content.read(MOST_BYTES + 1)
                while not response.content.at_eof() and len(raw) <= MOST_BYTES:
                    raw += await response.content.read(MOST_BYTES + 1 - len(raw))
        except TimeoutError as error:
            raise HookFailed(f'failed to call webhook: Post "{url}": no answer within {hook.timeout} s') from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HookFailed(f'failed to call webhook: Post "{url}": {error}') from error
        if response.status != 200:
            raise HookFailed(f'failed to call webhook: Post "{url}": it answered {response.status} {response.reason}')
        if len(raw) > MOST_BYTES:
            raise HookFailed(f"its answer is larger than {MOST_BYTES} bytes")
        try:
            return orjson.loads(raw)
        except ValueError as error:
            raise HookFailed(f"its answer is not JSON: {error}") from error

    def _target(self, config: Document) -> tuple[str, str]:
        """The URL to dial; for an endpoint of a Service also name:port, the name its certificate must have."""
        if url := config.get("url"):
            if urlsplit(url).scheme != "https":
                raise HookFailed(f"clientConfig.url {url} is not https")
            return str(url), ""
        service = config.get("service")
        if not isinstance(service, dict):
            raise HookFailed("clientConfig needs a url or a service")
        name, namespace, port = service["name"], service["namespace"], int(service.get("port") or 443)
        host, real = self._resolve(namespace, name, port)
        host = f"[{host}]" if ":" in host else host
        path = quote((service.get("path") or "/").lstrip("/"), safe="/~:@!$&'()*+,;=")
        return f"https://{host}:{real}/{path}", f"{name}.{namespace}.svc:{port}"


@functools.lru_cache(maxsize=64)
def _context(bundle: str) -> ssl.SSLContext:
    """Trust in one caBundle only; without one, in what the system trusts."""
    if not bundle:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=base64.b64decode(bundle).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError) as error:
        raise HookFailed(f"clientConfig.caBundle holds no PEM certificate: {error}") from error
