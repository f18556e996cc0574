"""`HttpApi`: the `Api` Protocol over HTTP to any kube-apiserver, by TCP or by the mesh's unix socket.

JSON only. Answers that are not 2xx become ApiError, broken connections ConnectionError. It keeps no cache: following
a kind through restarts and 410s is `informer`'s.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp.client_proto import ResponseHandler

from plait.resources.kinds import Kind
from plait.store import kubeconfig
from plait.store.api import ApiError, Document, PatchType, WatchEvent
from plait.store.kubeconfig import Access

_PATCH = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
WATCH_SECONDS = 300
_KEPT = 60.0
"""Seconds an unused connection stays open: less than servers wait (90), so that it is never they who close it."""


class HttpApi:
    """One client; make it inside a running loop and `close()` it (or use `async with`)."""

    def __init__(self, access: Access) -> None:
        self._base = access.server.rstrip("/")
        self._ssl: ssl.SSLContext | bool = _context(access) if self._base.startswith("https") else True
        headers = {"Accept": "application/json", "User-Agent": "plait"}
        if access.token:
            headers["Authorization"] = f"Bearer {access.token}"
        connector: aiohttp.BaseConnector
        if access.socket and isinstance(self._ssl, ssl.SSLContext):
            connector = _TlsUnixConnector(access.socket, self._ssl)
        elif access.socket:
            connector = aiohttp.UnixConnector(access.socket, limit=0, keepalive_timeout=_KEPT)
        else:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout, read_bufsize=2**20)

    @classmethod
    def from_kubeconfig(cls, path: Path, context: str = "", *, socket: Path | None = None) -> HttpApi:
        """Credentials and server of a kubeconfig; with `socket` its server is dialled through a unix socket."""
        found = kubeconfig.access(path, context)
        if socket is not None:
            found = Access("https://localhost", found.ca, found.certificate, found.key, found.token, socket=str(socket))
        return cls(found)

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> HttpApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Document:
        return await self.call("GET", path(kind, namespace, name))

    async def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> tuple[list[Document], str]:
        answer = await self.call("GET", path(kind, namespace), query=_query(labelSelector=labels, fieldSelector=fields))
        items = answer.get("items") or []
        for item in items:  # a kube-apiserver leaves these out of list items
            item.setdefault("apiVersion", kind.api_version())
            item.setdefault("kind", kind.kind)
        return items, answer["metadata"]["resourceVersion"]

    async def watch(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = "", version: str = ""
    ) -> AsyncIterator[WatchEvent]:
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            timeoutSeconds=str(WATCH_SECONDS),
            labelSelector=labels,
            fieldSelector=fields,
            resourceVersion=version,
        )
        try:
            url = self._base + path(kind, namespace)
            async with self._session.get(url, params=query, ssl=self._ssl) as answer:
                await _raise(answer)
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        event = orjson.loads(line)
                        if event["type"] == "ERROR":
                            raise _error(event["object"])
                        yield WatchEvent(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _lost(error) from error

    async def create(self, kind: Kind, document: Document, namespace: str = "") -> Document:
        namespace = namespace or document["metadata"].get("namespace", "")
        return await self.call("POST", path(kind, namespace), document)

    async def replace(self, kind: Kind, document: Document, *, subresource: str = "") -> Document:
        meta = document["metadata"]
        return await self.call("PUT", path(kind, meta.get("namespace", ""), meta["name"], subresource), document)

    async def patch(
        self,
        kind: Kind,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        manager: str = "plait",
        force: bool = False,
        strict: bool = False,
    ) -> Document:
        """`strict` refuses unknown and doubled fields instead of dropping them."""
        forced, checked = "true" if force and type == "apply" else "", "Strict" if strict else ""
        query = _query(fieldManager=manager, force=forced, fieldValidation=checked)
        where = path(kind, namespace, name, subresource)
        return await self.call("PATCH", where, body, query=query, content_type=_PATCH[type])

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        uid: str = "",
        propagation: str = "Background",
    ) -> None:
        options: Document = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        await self.call("DELETE", path(kind, namespace, name), options)

    async def create_subresource(
        self, kind: Kind, name: str, subresource: str, document: Document, namespace: str = ""
    ) -> Document:
        return await self.call("POST", path(kind, namespace, name, subresource), document)

    async def call(
        self,
        method: str,
        where: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Document:
        """One request to any path of the server; its JSON answer."""
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": content_type})
        try:
            async with self._session.request(
                method, self._base + where, params=query, data=data, headers=headers, ssl=self._ssl
            ) as answer:
                await _raise(answer)
                found: Document = orjson.loads(await answer.read())
                return found
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _lost(error) from error

    async def text(self, where: str, *, query: dict[str, str] | None = None) -> AsyncIterator[bytes]:
        """The bytes of a streaming GET (pod logs) as they come."""
        try:
            async with self._session.get(self._base + where, params=query, ssl=self._ssl) as answer:
                await _raise(answer)
                async for chunk in answer.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _lost(error) from error

    @property
    def session(self) -> tuple[aiohttp.ClientSession, str, ssl.SSLContext | bool]:
        """For streams (exec, port-forward): the session, the server's base URL and its TLS context."""
        return self._session, self._base, self._ssl


class _TlsUnixConnector(aiohttp.UnixConnector):
    """aiohttp's own unix connector never speaks TLS, so this one replaces the step that opens the connection."""

    def __init__(self, socket: str, context: ssl.SSLContext) -> None:
        super().__init__(socket, limit=0, keepalive_timeout=_KEPT)
        self._tls = context

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        try:
            async with asyncio.timeout(timeout.sock_connect):
                _, protocol = await self._loop.create_unix_connection(
                    self._factory, self.path, ssl=self._tls, server_hostname="localhost"
                )
        except OSError as error:
            raise ConnectionError(f"{self.path}: {error}") from error
        return protocol


def path(kind: Kind, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The REST path of a kind's collection, object or subresource at its storage version."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    within = f"/namespaces/{namespace}" if namespace and kind.namespaced else ""
    return f"{root}{within}/{kind.plural}" + (f"/{name}" if name else "") + (f"/{subresource}" if subresource else "")


def _query(**given: str) -> dict[str, str]:
    return {key: value for key, value in given.items() if value}


async def _raise(answer: aiohttp.ClientResponse) -> None:
    if answer.status < 300:
        return
    raw = await answer.read()
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = {}
    if not isinstance(body, dict) or body.get("kind") != "Status":
        body = {"reason": answer.reason or "", "message": raw.decode(errors="replace")[:500]}
    raise _error({**body, "code": answer.status})


def _error(status: Document) -> ApiError:
    return ApiError(
        status.get("code", 500), status.get("reason", ""), status.get("message", ""), status.get("details") or {}
    )


def _lost(error: Exception) -> ConnectionError:
    return ConnectionError(f"API server: {error or type(error).__name__}")


def _context(access: Access) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=access.ca.decode() if access.ca else None)
    if access.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if access.certificate:
        # The ssl module reads certificate and key from files only.
        with tempfile.NamedTemporaryFile() as file:
            file.write(access.certificate + b"\n" + access.key)
            file.flush()
            context.load_cert_chain(file.name)
    return context
