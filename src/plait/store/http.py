"""The REST face of the API server on aiohttp: paths -> asks, credentials -> users, verbs -> answers.

One catch-all handler, because CRDs add paths at run time. What a verb means is `verbs`'; who may is `access`'; how a
watch is written is `feed`'s.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from plait.base.observe import logger
from plait.resources.kinds import Kind
from plait.store import access, bodies, discovery, errors, feed, openapi, subresources, swagger
from plait.store.access import ANONYMOUS, AUTHENTICATED, Action, User
from plait.store.api import ApiError, Document
from plait.store.ask import Ask
from plait.store.bodies import Form
from plait.store.selectors import both
from plait.store.state import Record
from plait.store.tokens import Tokens
from plait.store.verbs import Verbs

_log = logger("api")
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_STREAMS = frozenset({"exec", "attach", "portforward", "log"})
MOST_BYTES = 3 * 2**19
"""Of one object: what a cluster's etcd takes, so that nothing runs here that could not be there. A route of 2 MB has
15,000 rules, which take each proxy that gets them seconds."""
ASK: web.RequestKey[Ask] = web.RequestKey("ask", Ask)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Place:
    """A resource path taken apart."""

    kind: Kind
    version: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class Server:
    """Handlers of one API server. `static_tokens` maps bearer tokens to users."""

    def __init__(
        self,
        verbs: Verbs,
        tokens: Tokens,
        *,
        clock: Callable[[], float],
        static_tokens: Mapping[str, User] | None = None,
        streams: list[web.RouteDef] | None = None,
        address: str = "",
    ) -> None:
        self._verbs, self._tokens, self._clock = verbs, tokens, clock
        self._static, self._address = dict(static_tokens or {}), address
        self._state = verbs.storage.state
        self._published = openapi.Documents(verbs.catalog, verbs.schemas)
        self.closing = asyncio.Event()
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[self._guard])
        app.add_routes(streams or [])
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        self.application = app

    # -- the way in --------------------------------------------------------------------------------------------
    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Authenticate, authorize, and turn every failure into a Status."""
        try:
            ask = self._admitted(request)
            if ask is not None:
                request[ASK] = ask
            answer = await handler(request)
            if ask is not None and request.method not in ("GET", "HEAD"):
                await self._verbs.storage.durable()
            return answer
        except ApiError as error:
            return _refused(error)
        except web.HTTPRequestEntityTooLarge:
            text = f"the body is larger than {MOST_BYTES} bytes, the most of one object; split it"
            return _refused(ApiError(413, "RequestEntityTooLarge", text))
        except web.HTTPException as error:
            return _refused(ApiError(error.status, error.reason, error.text or error.reason))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            _log.error("request failed", method=request.method, path=request.path, error=repr(error), exc_info=error)
            return _refused(ApiError(500, "InternalError", f"Internal error occurred: {type(error).__name__}: {error}"))

    def _admitted(self, request: web.Request) -> Ask | None:
        user = self._user(request)
        place = self._place(request.path)
        if place is None:
            action = Action(request.method.lower(), path=request.path)
            if not access.may(self._state, user, action):
                raise errors.forbidden(None, "", access.refusal(user, action))
            if "Impersonate-User" in request.headers or request.method != "GET":
                self._impersonated(request, user)
            return None
        user = self._impersonated(request, user)
        action = _action(request, place)
        if not access.may(self._state, user, action):
            raise errors.forbidden(place.kind, place.name, access.refusal(user, action))
        query = request.query
        validation = query.get("fieldValidation") or "Warn"
        if validation not in ("Strict", "Warn", "Ignore"):
            raise errors.bad_request(f"fieldValidation={validation}: use Strict, Warn or Ignore")
        if query.get("dryRun", "All") != "All":
            raise errors.bad_request(f"dryRun={query['dryRun']}: the only supported value is All")
        agent = request.headers.get("User-Agent", "unknown").partition("/")[0][:128]
        return Ask(
            place.kind,
            place.version,
            place.namespace,
            place.name,
            place.subresource,
            user,
            dry_run="dryRun" in query,
            manager=query.get("fieldManager") or agent or "unknown",
            validation=validation,  # type: ignore[arg-type]
        )

    def _user(self, request: web.Request) -> User:
        transport = request.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        if certificate:
            parts = [part for rdn in certificate["subject"] for part in rdn]
            name = next((value for key, value in parts if key == "commonName"), "")
            groups = tuple(value for key, value in parts if key == "organizationName")
            if name:
                return User(name, (*groups, AUTHENTICATED))
        header = request.headers.get("Authorization", "")
        if not header:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and token:
            for known, user in self._static.items():
                if hmac.compare_digest(known.encode(), token.encode()):
                    return user
            found = self._tokens.check(token, self._clock())
            if not isinstance(found, str):
                return found[0]
            _log.debug("token refused", why=found)
        raise errors.unauthorized()

    def _impersonated(self, request: web.Request, user: User) -> User:
        headers = request.headers
        name, groups = headers.get("Impersonate-User", ""), tuple(headers.getall("Impersonate-Group", ()))
        if not name:
            if groups or headers.get("Impersonate-Uid"):
                raise errors.bad_request("Impersonate-Group and -Uid need Impersonate-User")
            return user
        wanted = [Action("impersonate", resource="groups", name=group) for group in groups]
        if name.startswith(access.ACCOUNT_PREFIX) and name.count(":") == 3:
            namespace, account = name.split(":")[2:]
            wanted.append(Action("impersonate", resource="serviceaccounts", namespace=namespace, name=account))
            groups = groups or ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        else:
            wanted.append(Action("impersonate", resource="users", name=name))
        extra: dict[str, tuple[str, ...]] = {}
        for header, value in headers.items():
            if header.lower().startswith("impersonate-extra-"):
                key = unquote(header[len("impersonate-extra-") :]).lower()
                extra[key] = (*extra.get(key, ()), value)
                wanted.append(Action("impersonate", "authentication.k8s.io", "userextras", key, name=value))
        if uid := headers.get("Impersonate-Uid", ""):
            wanted.append(Action("impersonate", "authentication.k8s.io", "uids", name=uid))
        for action in wanted:
            if not access.may(self._state, user, action):
                raise errors.forbidden(None, "", access.refusal(user, action))
        if name != ANONYMOUS.name:
            groups = (*(g for g in groups if g != AUTHENTICATED), AUTHENTICATED)
        return User(name, groups, uid, extra)

    def _place(self, path: str) -> Place | None:
        """The resource a path names; None for paths that are none. 404 where the kind is not served."""
        parts = [unquote(part) for part in path.split("/") if part]
        if len(parts) >= 3 and parts[0] == "api":
            (group, version), rest = ("", parts[1]), parts[2:]
        elif len(parts) >= 4 and parts[0] == "apis":
            (group, version), rest = (parts[1], parts[2]), parts[3:]
        else:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) >= 3 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
            namespace, rest = rest[1], rest[2:]
        kind = self._verbs.catalog.find(group, version, rest[0])
        if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
            raise errors.no_such_path(path)
        name, subresource = (*rest[1:], "", "")[:2]
        if subresource and subresource not in kind.subresources:
            raise errors.no_such_path(path)
        return Place(kind, version, namespace, name, subresource)

    # -- verbs -------------------------------------------------------------------------------------------------
    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        ask = request.get(ASK)
        if ask is None:
            return self._plain(request)
        method = request.method
        if ask.kind in discovery.REVIEWS:
            if method != "POST":
                raise errors.not_allowed(f"{ask.kind} can only be created")
            body = await self._body(request, ask)
            return _json(subresources.review(self._verbs, self._tokens, ask, body, self._clock()), 201)
        if ask.subresource in ("scale", "binding", "eviction", "token", "finalize"):
            return await self._subresource(request, ask)
        if ask.subresource in _STREAMS:
            raise errors.no_such_path(request.path)
        form = bodies.form(request.headers.get("Accept", ""))
        if method in ("GET", "HEAD"):
            if ask.name and request.query.get("watch") not in ("true", "1"):
                return self._answer(request, ask, self._verbs.get(ask), form)
            return await self._collection(request, ask, form)
        if method == "POST" and not ask.name:
            record = await self._verbs.create(ask, await self._body(request, ask))
            return self._answer(request, ask, record, form, 201)
        if method == "PUT" and ask.name:
            record, created = await self._verbs.update(ask, await self._body(request, ask))
            return self._answer(request, ask, record, form, 201 if created else 200)
        if method == "PATCH" and ask.name:
            content_type = request.headers.get("Content-Type", "")
            body, how = bodies.decode_patch(await request.read(), content_type)
            if how == "apply" and not request.query.get("fieldManager"):
                raise errors.bad_request("fieldManager is required for apply patch")
            force = request.query.get("force") in ("true", "1")
            record, created = await self._verbs.patch(ask, body, how, force=force)
            return self._answer(request, ask, record, form, 201 if created else 200)
        if method == "DELETE":
            return await self._delete(request, ask, form)
        raise errors.not_allowed(f"{method} {request.path}")

    async def _body(self, request: web.Request, ask: Ask) -> Any:
        body, repeated = bodies.decode(await request.read(), request.headers.get("Content-Type", ""))
        if repeated and ask.validation == "Strict":
            listed = ", ".join(f'duplicate field "{path}"' for path in repeated)
            raise errors.bad_request(f"strict decoding error: {listed}")
        if ask.validation == "Warn":
            ask.warnings += [f'duplicate field "{path}"' for path in repeated]
        if not isinstance(body, dict):
            raise errors.bad_request("the body must be an object")
        return body

    async def _subresource(self, request: web.Request, ask: Ask) -> web.StreamResponse:
        method, verbs, now = request.method, self._verbs, self._clock()
        if ask.subresource == "scale":
            if method == "GET":
                found = verbs.get(replace(ask, subresource="")).document
                return _json(subresources.scale_of(found, verbs.definitions.scale(ask.kind, ask.version)))
            if method == "PATCH":
                body, how = bodies.decode_patch(await request.read(), request.headers.get("Content-Type", ""))
                return _json(await subresources.rescale(verbs, ask, body, how))
            if method == "PUT":
                return _json(await subresources.rescale(verbs, ask, await self._body(request, ask), None))
        elif ask.subresource == "finalize" and method == "PUT":
            return _json(await subresources.finalize(verbs, ask, await self._body(request, ask)))
        elif method == "POST":
            body = await self._body(request, ask)
            if ask.subresource == "binding":
                return _json(await subresources.bind(verbs, ask, body, now), 201)
            if ask.subresource == "eviction":
                return _json(await subresources.evict(verbs, ask, body), 201)
            if ask.subresource == "token":
                return _json(subresources.token(verbs, self._tokens, ask, body, now), 201)
        raise errors.not_allowed(f"{method} {request.path}")

    async def _delete(self, request: web.Request, ask: Ask, form: Form) -> web.StreamResponse:
        options = await self._body(request, ask)
        query = request.query
        if "propagationPolicy" in query:
            options.setdefault("propagationPolicy", query["propagationPolicy"])
        if query.get("gracePeriodSeconds", "").isdigit():
            options.setdefault("gracePeriodSeconds", int(query["gracePeriodSeconds"]))
        if options.get("dryRun"):
            ask.dry_run = True
        if ask.name:
            record, gone = await self._verbs.delete(ask, options)
            if gone and ask.kind.kind != "Pod":
                return _json(errors.success(ask.kind, ask.name, record.document["metadata"]["uid"]))
            return self._answer(request, ask, record, form)
        match = both(ask.kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        records, revision = self._verbs.list(ask, match)
        for record in records:
            meta = record.document["metadata"]
            one = replace(ask, name=meta["name"], namespace=meta.get("namespace", ""))
            try:
                await self._verbs.delete(one, {**options, "preconditions": {"uid": meta["uid"]}})
            except ApiError as error:
                if error.reason not in ("NotFound", "Conflict"):
                    raise
        return feed.listing(self._verbs, ask, records, revision, form, self._clock(), "")

    async def _collection(self, request: web.Request, ask: Ask, form: Form) -> web.StreamResponse:
        query = request.query
        field_text = query.get("fieldSelector", "")
        if ask.name:  # watch of one object
            field_text = f"{field_text},metadata.name={ask.name}".strip(",")
        match = both(ask.kind, query.get("labelSelector", ""), field_text)
        if query.get("watch") in ("true", "1"):
            plan = feed.plan(query, ask, self._state.revision)
            return await feed.stream(self._verbs, request, ask, match, plan, form, self._clock, self.closing)
        feed.check_version(query, self._state.revision)
        records, revision = self._verbs.list(ask, match)
        include = query.get("includeObject", "Metadata")
        return feed.listing(self._verbs, ask, records, revision, form, self._clock(), include)

    def _answer(
        self, request: web.Request, ask: Ask, record: Record, form: Form, status: int = 200
    ) -> web.StreamResponse:
        if form == "object":
            raw = record.encoded(ask.kind.api_version(ask.version))
        else:
            include = request.query.get("includeObject", "Metadata")
            raw = orjson.dumps(feed.shaped(self._verbs, ask, record.document, form, self._clock(), include))
        response = web.Response(body=raw, status=status, content_type="application/json")
        for text in ask.warnings:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'299 - "{quoted}"')
        return response

    # -- paths that are no resources -----------------------------------------------------------------------------
    def _plain(self, request: web.Request) -> web.StreamResponse:
        path, catalog = request.path.rstrip("/") or "/", self._verbs.catalog
        if request.method not in ("GET", "HEAD"):
            raise errors.no_such_path(path)
        if path.split("/")[1] in ("healthz", "livez", "readyz"):
            return web.Response(text="ok")
        if path in ("/api", "/apis"):
            if "g=apidiscovery.k8s.io" in (accept := request.headers.get("Accept", "")) and "v=v2;" in accept + ";":
                return openapi.cached(request, discovery.aggregated(catalog, path == "/api"), discovery.AGGREGATED)
            found: Document | None
            found = discovery.api_versions(self._address) if path == "/api" else discovery.group_list(catalog)
            return openapi.cached(request, found, "application/json")
        parts = path.split("/")[1:]
        found = None
        if path == "/version":
            found = discovery.VERSION
        elif parts[0] == "api" and len(parts) == 2:
            found = discovery.resource_list(catalog, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            found = discovery.group(catalog, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            found = discovery.resource_list(catalog, parts[1], parts[2])
        elif path == "/openid/v1/jwks":
            found = self._tokens.keys()
        elif path == "/.well-known/openid-configuration":
            found = self._tokens.configuration(self._address and f"https://{self._address}")
        elif path == "/openapi/v2" and "protobuf" in request.headers.get("Accept", ""):
            return web.Response(body=swagger.document(catalog), headers={"Content-Type": swagger.CONTENT_TYPE})
        elif parts[:2] == ["openapi", "v3"]:
            return self._published.answer(request, "/".join(parts[2:]))
        elif path == "/":
            found = {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
        if found is None:
            raise errors.no_such_path(path)
        return _json(found)


def _action(request: web.Request, place: Place) -> Action:
    verb = _VERBS.get(request.method, request.method.lower())
    if verb == "get" and place.subresource in ("exec", "attach", "portforward"):
        verb = "create"  # a WebSocket is a GET; the right that counts is the one SPDY's POST needs
    elif verb == "get" and request.query.get("watch") in ("true", "1"):
        verb = "watch"
    elif verb == "get" and not place.name:
        verb = "list"
    elif verb == "delete" and not place.name:
        verb = "deletecollection"
    kind = place.kind
    return Action(verb, kind.group, kind.plural, place.subresource, place.namespace, place.name)


def _json(document: Document, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json")


def _refused(error: ApiError) -> web.Response:
    response = _json(errors.status(error), error.code)
    if error.code in (429, 504):
        response.headers["Retry-After"] = "1"
    return response
