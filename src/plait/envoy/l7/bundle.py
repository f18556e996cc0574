"""Documents of one L7 proxy: collected by kind, completed with what everybody has, and encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from plait.base import type_urls
from plait.base.bundle import Bundle, Resource
from plait.envoy import names
from plait.envoy.l7 import tunnel, upstreams
from plait.envoy.l7.context import Context
from plait.envoy.l7.parts import Parts, Said, Spoken
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import Constant, Doc
from plait.envoy.wire import WireError, resource
from plait.model.views.upstreams import Upstream

ENDPOINTS = type_urls.ENDPOINTS
URLS = {
    "clusters": names.CLUSTER,
    "endpoints": ENDPOINTS,
    "listeners": names.LISTENER,
    "routes": names.ROUTE,
    "extensions": names.EXTENSION,
}
_NONE: Mapping[int, Said] = {}


@dataclass(slots=True)
class Documents:
    """What is said to one Envoy. `secrets` are names only: who holds keys serves them."""

    clusters: list[Doc] = field(default_factory=list)
    endpoints: list[Doc] = field(default_factory=list)
    listeners: list[Doc] = field(default_factory=list)
    routes: list[Doc] = field(default_factory=list)
    extensions: list[Doc] = field(default_factory=list)
    refusals: tuple[Refusal, ...] = ()
    parts: Parts = field(default_factory=Parts)
    known: Mapping[int, Said] = field(default_factory=dict)
    """What was said of documents that others have too, by `id` of the document."""

    def add_upstreams(self, ctx: Context) -> None:
        """Clusters and endpoints of all upstreams, what was asked for besides, and the tunnel."""
        clusters, endpoints = of_upstreams(ctx)
        self.clusters += clusters
        self.endpoints += endpoints
        self.complete(ctx)

    def complete(self, ctx: Context) -> None:
        """What was asked for besides upstreams, and what everybody has.

        The tunnel is there before anything goes through it: endpoints that came before its listener would be out of
        reach.
        """
        passthrough, blackhole, through, tunnelled = ctx.parts.made("everybody's", (), partial(_everybodys, ctx))
        self.clusters += [passthrough, blackhole]
        self.clusters += [ctx.extra[name] for name in sorted(ctx.extra)]
        self.clusters.append(through)
        self.listeners.append(tunnelled)

    def dictionary(self) -> dict[str, list[Doc]]:
        found: dict[str, list[Doc]] = {kind: getattr(self, kind) for kind in URLS}
        return {**found, "secrets": [{"name": name} for name in sorted(secrets(found))]}


def of_upstreams(ctx: Context) -> tuple[tuple[Doc, ...], tuple[Doc, ...]]:
    """Clusters and endpoints of the context's upstreams."""
    known = ctx.upstreams
    sources = ctx.parts.made("sources", known, lambda: tuple(known[key] for key in sorted(known)))
    made = ctx.each("upstream", sources, lambda each: each.key, _upstream)
    return ctx.parts.made("upstreams", made, lambda: (_joined(made, 0), _joined(made, 1)))


def _upstream(ctx: Context, upstream: Upstream) -> tuple[tuple[Doc, ...], tuple[Doc, ...]]:
    found = upstreams.discovered(ctx, upstream)
    return tuple(upstreams.clusters(ctx, upstream)), () if found is None else (found,)


def _joined(made: Iterable[tuple[tuple[Doc, ...], ...]], column: int) -> tuple[Doc, ...]:
    return tuple(document for each in made for document in each[column])


def _everybodys(ctx: Context) -> tuple[Doc, Doc, Doc, Doc]:
    return upstreams.passthrough(), upstreams.blackhole(), tunnel.cluster(), tunnel.listener(ctx.proxy)


class Encoded(NamedTuple):
    bundle: Bundle
    refusals: tuple[Refusal, ...]
    secrets: frozenset[str]
    """Names of those it will ask for."""


def encode(found: Documents) -> Encoded:
    """A document that is not Envoy's API (a patch did that) is left out and reported."""
    refusals, wanted = list(found.refusals), set[str]()
    types: dict[str, Mapping[str, Resource]] = {}
    for kind, url in URLS.items():
        said = spoken(found.parts, kind, getattr(found, kind), found.known)
        wanted |= said.secrets
        refusals += [_refused(kind, each) for each in said.refused]
        if said.resources:
            types[url] = said.resources
    return Encoded(Bundle(types), tuple(refusals), frozenset(wanted))


def spoken(parts: Parts, kind: str, documents: list[Doc], known: Mapping[int, Said] = _NONE) -> Spoken:
    """What is said of documents of a kind; of those in `known` it is known."""
    encode_ = partial(_encoded, kind, URLS[kind])
    return parts.said(kind, documents, lambda each: known.get(id(each)) or encode_(each))


def _name(kind: str, document: Doc) -> str:
    return str(document.get("cluster_name" if kind == "endpoints" else "name", ""))


def _encoded(kind: str, url: str, document: Doc) -> Said:
    try:
        made = resource(url, _name(kind, document), document)
    except WireError as error:
        return Said(document, None, why=str(error))
    return Said(document, made, secrets(document))


def _refused(kind: str, each: Said) -> Refusal:
    why = f"not Envoy's API, so it is left out: {each.why}"
    return Refusal(f"{kind}/{_name(kind, each.document)}", "", why)


def secrets(document: Any) -> frozenset[str]:
    """Every secret named anywhere by SDS."""
    if type(document) is Constant:
        if document.secrets is None:
            document.secrets = _secrets(document.values(), document)
        return document.secrets
    if isinstance(document, dict):
        return _secrets(document.values(), document)
    return _secrets(document, {}) if isinstance(document, list) else _NO_SECRETS


def _secrets(values: Iterable[Any], document: Doc) -> frozenset[str]:
    found = _NO_SECRETS
    for value in values:
        if isinstance(value, (dict, list)) and (inner := secrets(value)):
            found |= inner
    return found | {str(document["name"])} if "sds_config" in document and "name" in document else found


_NO_SECRETS: frozenset[str] = frozenset()
