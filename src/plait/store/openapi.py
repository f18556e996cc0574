"""/openapi/v3: the index and one document per group version, as kubectl create, apply and explain read them."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from aiohttp import web

from plait.resources.kinds import Kind
from plait.store import discovery, errors
from plait.store.api import Document
from plait.store.discovery import Catalog
from plait.store.schema.schemas import Schemas, definition_name


class Documents:
    """Built on first demand and kept until a CRD changes them."""

    def __init__(self, catalog: Catalog, schemas: Schemas) -> None:
        self._catalog, self._schemas = catalog, schemas
        self._made: dict[str, tuple[bytes, str]] = {}
        self._known: tuple[Kind, ...] = ()

    def answer(self, request: web.Request, path: str) -> web.Response:
        custom = self._schemas.crd_kinds()
        if custom != self._known:
            self._made.clear()
            self._known = custom
        if not path:
            return cached(request, self._index(), "application/json")
        body, digest = self._made.get(path) or self._make(path)
        headers = {"ETag": f'"{digest}"', "Vary": "Accept"}
        if "hash" in request.query:
            headers["Cache-Control"] = "public, immutable"
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _index(self) -> Document:
        paths = {}
        for group, versions in self._catalog.groups().items():
            for version in versions:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                # The hash only has to differ when the document does: what is served, and by which CRDs.
                digest = hashlib.sha256(repr((path, self._catalog.of(group, version))).encode()).hexdigest()[:32]
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
        return {"paths": paths}

    def _make(self, path: str) -> tuple[bytes, str]:
        parts = path.split("/")
        group, version = ("", parts[-1]) if parts[0] == "api" else ("/".join(parts[1:-1]), parts[-1])
        served = self._catalog.of(group, version)
        if not served or len(parts) != (3 if group else 2):
            raise errors.no_such_path(f"/openapi/v3/{path}")
        paths: Document = {}
        for kind in served:
            self._operations(paths, kind, version, f"/{path}")
        document = {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": discovery.VERSION["gitVersion"]},
            "paths": paths,
            "components": {"schemas": self._schemas.definitions(group, version)},
        }
        body = orjson.dumps(document)
        self._made[path] = body, hashlib.sha256(body).hexdigest()[:32]
        return self._made[path]

    def _operations(self, paths: Document, kind: Kind, version: str, root: str) -> None:
        where = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
        gvk = {"group": kind.group, "version": version, "kind": kind.kind}
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{definition_name(kind, version)}"}}}

        def operation(action: str, *, writes: bool = False) -> Document:
            # kubectl asks the PATCH operation for these two before it trusts server-side validation and dry run.
            names = ("dryRun", "fieldManager", "fieldValidation") if writes else ("pretty",)
            found: dict[str, Any] = {
                "parameters": [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names],
                "responses": {"200": {"description": "OK", "content": content}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk,
            }
            if writes:
                found["requestBody"] = {"content": content}
            return found

        paths[where] = {"post": operation("post", writes=True)}
        if kind in discovery.REVIEWS:
            return
        paths[where]["get"] = operation("list")
        paths[where]["delete"] = operation("deletecollection")
        paths[f"{where}/{{name}}"] = {
            "get": operation("get"),
            "put": operation("put", writes=True),
            "patch": operation("patch", writes=True),
            "delete": operation("delete"),
        }


def cached(request: web.Request, document: Document, content_type: str) -> web.Response:
    """An answer with an ETag, or 304 where the client has it."""
    body = orjson.dumps(document)
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "Vary": "Accept", "Content-Type": content_type}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers)
