"""Documents of one L7 proxy: collected by kind, completed with what everybody has, and encoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from plait.base.bundle import TYPE_PREFIX, Bundle
from plait.envoy import names
from plait.envoy.l7 import tunnel, upstreams
from plait.envoy.l7.context import Context
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import Doc
from plait.envoy.wire import WireError
from plait.model.views.upstreams import Upstream

ENDPOINTS = TYPE_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
URLS = {
    "clusters": names.CLUSTER,
    "endpoints": ENDPOINTS,
    "listeners": names.LISTENER,
    "routes": names.ROUTE,
    "extensions": names.EXTENSION,
}


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

    def add_upstreams(self, ctx: Context, found: Iterable[Upstream]) -> None:
        """Clusters and endpoints of all upstreams, what was asked for besides, and the tunnel.

        The tunnel is there before anything goes through it: endpoints that came before its listener would be out of
        reach.
        """
        for upstream in sorted(found, key=lambda each: each.key):
            clusters, endpoints = ctx.part(
                ("upstream", upstream.key, upstream.key in ctx.lazy), upstream, partial(_upstream, upstream=upstream)
            )
            self.clusters += clusters
            self.endpoints += endpoints
        self.clusters += [upstreams.passthrough(), upstreams.blackhole()]
        self.clusters += [ctx.extra[name] for name in sorted(ctx.extra)]
        self.clusters.append(tunnel.cluster())
        self.listeners.append(tunnel.listener(ctx.proxy))

    def dictionary(self) -> dict[str, list[Doc]]:
        found: dict[str, list[Doc]] = {kind: getattr(self, kind) for kind in URLS}
        return {**found, "secrets": [{"name": name} for name in sorted(secrets(found))]}


def _upstream(ctx: Context, upstream: Upstream) -> tuple[tuple[Doc, ...], tuple[Doc, ...]]:
    found = upstreams.discovered(ctx, upstream)
    return tuple(upstreams.clusters(ctx, upstream)), () if found is None else (found,)


class Encoded(NamedTuple):
    bundle: Bundle
    refusals: tuple[Refusal, ...]
    secrets: frozenset[str]
    """Names of those it will ask for."""


def encode(found: Documents) -> Encoded:
    """A document that is not Envoy's API (a patch did that) is left out and reported."""
    refusals, wanted = list(found.refusals), set[str]()
    types: dict[str, dict[str, Any]] = {}
    for kind, url in URLS.items():
        for document in getattr(found, kind):
            name = str(document.get("cluster_name" if kind == "endpoints" else "name", ""))
            try:
                made, named = found.parts.resource(url, name, document, secrets)
            except WireError as error:
                refusals.append(Refusal(f"{kind}/{name}", "", f"not Envoy's API, so it is left out: {error}"))
                continue
            types.setdefault(url, {})[name] = made
            wanted |= named
    return Encoded(Bundle(types), tuple(refusals), frozenset(wanted))


def secrets(document: Any) -> set[str]:
    """Every secret named anywhere by SDS."""
    if isinstance(document, dict):
        here = {str(document["name"])} if "sds_config" in document and "name" in document else set()
        return here.union(*(secrets(value) for value in document.values()))
    if isinstance(document, list):
        return set().union(*(secrets(value) for value in document))
    return set()
