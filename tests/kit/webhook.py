"""A real HTTPS admission webhook on 127.0.0.1, in this process, whose answers a test writes as functions.

async with webhook.running(tmp_path) as hook:
    hook.answers["/mutate"] = lambda request: webhook.patch([{"op": "add", ...}])
    await cluster.http.create(MUTATING_WEBHOOK, webhook.configuration("m", hook, "/mutate"))
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from plait.base import aio
from plait.store.pki import Pki

Answer = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Hooks:
    """`answers` by path; `seen` collects (path, request) of every call. A path without an answer never answers."""

    port: int
    ca: bytes
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"


def allow(**response: Any) -> dict[str, Any]:
    return {"allowed": True, **response}


def deny(message: str, code: int = 403) -> dict[str, Any]:
    return {"allowed": False, "status": {"message": message, "code": code, "reason": "Forbidden"}}


def patch(operations: list[dict[str, Any]], **response: Any) -> dict[str, Any]:
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return allow(patch=text, patchType="JSONPatch", **response)


def configuration(name: str, hooks: Hooks, path: str, **webhook: Any) -> dict[str, Any]:
    """A configuration with one webhook for pods; `webhook` adds to it or overrides."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    client = {"url": hooks.url(path), "caBundle": base64.b64encode(hooks.ca).decode()}
    entry = {
        "name": f"{name}.example.org",
        "clientConfig": client,
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {"metadata": {"name": name}, "webhooks": [entry | webhook]}


@asynccontextmanager
async def running(directory: Path, *names: str) -> AsyncIterator[Hooks]:
    """`names`: what the certificate is for, beside 127.0.0.1."""
    pki = Pki(directory / "webhook-pki", aio.now())
    stopping = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        review = await request.json()
        hooks.seen.append((request.path, review["request"]))
        answer = hooks.answers.get(request.path)
        if answer is None:
            await stopping.wait()
            raise web.HTTPServiceUnavailable
        response = {"uid": review["request"]["uid"], **answer(review["request"])}
        return web.json_response({"kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": response})

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=pki.server_context(["127.0.0.1", *names])).start()
        hooks = Hooks(int(runner.addresses[0][1]), pki.ca.certificate.read_bytes())
        yield hooks
    finally:
        stopping.set()
        await runner.cleanup()
