"""Lists and watches as bytes: splices encoded objects, shapes Tables, and follows the rules for resourceVersion.

`sendInitialEvents` (WatchList) gives the present objects, then a bookmark that says so; watches from a revision give
what came after it; bookmarks come each minute where allowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web

from plait.store import errors, tables
from plait.store.api import ApiError, Document
from plait.store.ask import Ask
from plait.store.bodies import Form, partial
from plait.store.state import Record
from plait.store.verbs import Verbs

BOOKMARK_SECONDS = 60.0
_DEFAULT_SECONDS = 1800.0
_ENDED = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a watch starts and ends. `after` None: with the present objects."""

    after: int | None
    bookmarks: bool
    announced: bool  # say by a bookmark where the initial events end
    seconds: float


def _version(query: Mapping[str, str], current: int) -> int:
    text = query.get("resourceVersion", "")
    if not text.isdigit():
        if text:
            raise errors.bad_request(f"invalid resourceVersion {text!r}: give one that a list or watch returned")
        return 0
    if int(text) > current:
        raise errors.too_large(int(text), current)
    return int(text)


def check_version(query: Mapping[str, str], current: int) -> None:
    """The version rules of a list: always answered with the newest, so only Exact can be too old."""
    version, match = _version(query, current), query.get("resourceVersionMatch", "")
    if match not in ("", "Exact", "NotOlderThan"):
        raise errors.bad_request(f"resourceVersionMatch={match}: use Exact or NotOlderThan")
    if match and "resourceVersion" not in query:
        raise errors.bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if query.get("sendInitialEvents"):
        raise errors.bad_request("sendInitialEvents is forbidden for list")
    if match == "Exact" and version != current:
        raise errors.expired(version, current)


def plan(query: Mapping[str, str], ask: Ask, current: int) -> Plan:
    version = _version(query, current)
    initial, match = query.get("sendInitialEvents", ""), query.get("resourceVersionMatch", "")
    bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
    given = query.get("timeoutSeconds", "")
    seconds = max(1.0, float(given)) if given.isdigit() and given != "0" else _DEFAULT_SECONDS
    if initial and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise errors.invalid(ask.kind, "", [("resourceVersionMatch", f"Forbidden: {why}", "FieldValueForbidden")])
    if match and not initial:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise errors.invalid(ask.kind, "", [("resourceVersionMatch", f"Forbidden: {why}", "FieldValueForbidden")])
    if initial in ("true", "1"):
        return Plan(None, bookmarks, bookmarks, seconds)
    if initial:  # "false": only what comes from now on, or after the version
        return Plan(version or current, bookmarks, False, seconds)
    return Plan(version or None, bookmarks, False, seconds)


def shaped(verbs: Verbs, ask: Ask, document: Document, form: Form, now: float, include: str) -> Document:
    """One object in the form asked for."""
    if form == "Table":
        return _table(
            verbs, ask, [document], {"resourceVersion": document["metadata"]["resourceVersion"]}, now, include
        )
    if form == "PartialObjectMetadata":
        return partial(document)
    return Record(document, 0).at(ask.kind.api_version(ask.version))


def _table(verbs: Verbs, ask: Ask, documents: list[Document], meta: Document, now: float, include: str) -> Document:
    version = ask.kind.api_version(ask.version)
    at = [Record(document, 0).at(version) for document in documents]
    columns = verbs.definitions.columns(ask.kind, ask.version)
    found: Document = tables.table(ask.kind, at, list_meta=meta, now=now, columns=columns, include_object=include)
    return found


def listing(
    verbs: Verbs, ask: Ask, records: list[Record], revision: int, form: Form, now: float, include: str
) -> web.Response:
    """The answer to a list."""
    meta = {"resourceVersion": str(revision)}
    if form == "Table":
        body = orjson.dumps(_table(verbs, ask, [r.document for r in records], meta, now, include))
    elif form == "PartialObjectMetadata":
        items = [partial(r.document) for r in records]
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        body = orjson.dumps({**kind, "metadata": meta, "items": items})
    else:
        version = ask.kind.api_version(ask.version)
        head = orjson.dumps({"kind": f"{ask.kind.kind}List", "apiVersion": version, "metadata": meta})
        body = b'%s,"items":[%s]}' % (head[:-1], b",".join(r.encoded(version) for r in records))
    return web.Response(body=body, content_type="application/json")


async def stream(
    verbs: Verbs,
    request: web.Request,
    ask: Ask,
    match: Callable[[Document], bool],
    start: Plan,
    form: Form,
    clock: Callable[[], float],
    closing: asyncio.Event,
) -> web.StreamResponse:
    """A watch, until its time is over, the client goes, it reads too slowly or the server stops."""
    version = ask.kind.api_version(ask.version)
    state, watches = verbs.storage.state, verbs.storage.watches

    def scoped(document: Document) -> bool:
        return (not ask.namespace or document["metadata"].get("namespace") == ask.namespace) and match(document)

    first = verbs.list(ask, match)[0] if start.after is None else None
    watcher = watches.open(ask.address, scoped, after=start.after or 0, first=first)
    sent = state.revision  # nothing at or below this is still to come, once the queue is drained
    include, tabled = request.query.get("includeObject", "Metadata"), False

    def line(kind: str, record: Record) -> bytes:
        nonlocal tabled
        if form == "object":
            return b'{"type":"%s","object":%s}\n' % (kind.encode(), record.encoded(version))
        document = shaped(verbs, ask, record.document, form, clock(), include)
        if form == "Table":  # the columns are said once
            document = {**document, "columnDefinitions": None} if tabled else document
            tabled = True
        return orjson.dumps({"type": kind, "object": document}) + b"\n"

    def bookmark(revision: int, ended: bool = False) -> bytes:
        meta: Document = {"resourceVersion": str(revision), "creationTimestamp": None}
        if ended:
            meta["annotations"] = {_ENDED: "true"}
        marked = {"kind": ask.kind.kind, "apiVersion": version, "metadata": meta}
        if form == "Table":
            marked = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "rows": [],
                "columnDefinitions": [],
            }
        elif form == "PartialObjectMetadata":
            marked = partial(marked)
        return orjson.dumps({"type": "BOOKMARK", "object": marked}) + b"\n"

    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    loop = asyncio.get_running_loop()
    end = loop.time() + start.seconds
    try:
        await response.prepare(request)
        if start.announced:
            ready = await watcher.take(0) if first else []
            await response.write(b"".join(line(*event) for event in ready or ()) + bookmark(sent, ended=True))
        next_bookmark = loop.time() + BOOKMARK_SECONDS
        while (left := end - loop.time()) > 0 and not closing.is_set():
            wait = min(left, next_bookmark - loop.time()) if start.bookmarks else left
            events = await watcher.take(max(0.0, wait))
            if events is None:
                break
            if events:
                await response.write(b"".join(line(*event) for event in events))
            elif start.bookmarks and loop.time() >= next_bookmark:
                # No await since the queue was seen empty: every change up to now has been sent.
                await response.write(bookmark(state.revision))
            if loop.time() >= next_bookmark:
                next_bookmark = loop.time() + BOOKMARK_SECONDS
        if start.bookmarks and not watcher.closed and not watcher.pending:
            await response.write(bookmark(state.revision))
        await response.write_eof()
    except (ConnectionError, ApiError):
        pass
    finally:
        watches.close(ask.address, watcher)
    return response
