"""How a SidecarView is said to Envoy: virtualOutbound with a listener per port behind it, virtualInbound, and 15008.

Captured connections arrive at 15001 and are handed to the listener of their port (`use_original_dst`); what no listener
takes passes through or is refused, as the mesh says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from plait.base.bundle import Bundle
from plait.base.wellknown import RESERVED_PORTS
from plait.envoy import names
from plait.envoy.l7 import chains, inbound, manager, outbound, patches, places, terminate
from plait.envoy.l7.bundle import Documents, encode
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.outbound import Calls
from plait.envoy.l7.parts import Parts
from plait.envoy.l7.patching.matching import Known
from plait.envoy.l7.report import Refusal
from plait.envoy.pieces import Doc, bound
from plait.model.views.sidecar import SidecarView


def translate(view: SidecarView, options: Options = DEFAULT) -> Bundle:
    """Everything pushed to this sidecar but secrets."""
    return encode(build(view, options)).bundle


def documents(view: SidecarView, options: Options = DEFAULT) -> dict[str, list[Doc]]:
    return build(view, options).dictionary()


def refusals(view: SidecarView, options: Options = DEFAULT) -> tuple[Refusal, ...]:
    """What of the view is not said to Envoy, and why."""
    return encode(build(view, options)).refusals


def build(
    view: SidecarView, options: Options = DEFAULT, parts: Parts | None = None, kin: Calls | None = None
) -> Documents:
    """`kin`: what all of this sidecar's kin call, made before."""
    parts = parts or Parts()
    calls = kin if kin is not None and kin.serve(view) else outbound.of_one(view, options, parts.half("outbound"))
    own = (view.inbound, view.default_mtls, view.pool, view.tunnel, view.unknown, view.egress_proxy)
    parts.begin((calls.upstreams, calls.lazy), view.proxy, view.settings, options, view.enforced, own)
    ctx = Context(view.proxy, view.settings, options, calls.upstreams, lazy=calls.lazy, parts=parts)
    ctx.extra.update(calls.extra)
    for each in calls.refusals:
        ctx.refuse("" if each.source.endswith("/") else each.source, each.path, each.message)
    found = Documents(parts=parts, known=calls.said)
    (itself,) = ctx.each("itself", _ONCE, str, lambda inner, _: _itself(inner, view))
    found.listeners += [
        *itself.catching,
        *(places.listener(ctx, view, each) for each in calls.places),
        *itself.listeners,
    ]
    found.routes += [*calls.routes, *itself.routes]
    found.clusters += itself.clusters
    found.clusters += calls.clusters
    found.endpoints += calls.endpoints
    found.complete(ctx)
    hosts = {inbound.cluster_name(port): frozenset((port.hostname,)) for port in view.inbound if port.hostname}
    patches.apply(ctx, view.enforced.patches, found, "sidecar", Known(hosts=hosts))
    found.refusals = tuple(ctx.report.found)
    return found


class _Itself(NamedTuple):
    """What follows from the pod, whatever it calls."""

    catching: tuple[Doc, ...]
    listeners: tuple[Doc, ...]
    routes: tuple[Doc, ...]
    clusters: tuple[Doc, ...]


_ONCE = ("itself",)


def _itself(ctx: Context, view: SidecarView) -> _Itself:
    catching = () if view.proxy.uncaptured else (_virtual_outbound(ctx, view),)
    listeners = [*_inbound(ctx, view)]
    routes = [inbound.route_configuration(ctx, view, port) for port in (*view.inbound, inbound.unlisted(view))]
    clusters = inbound.clusters(ctx, view)
    if view.tunnel:
        domains = (view.proxy.trust_domain, *view.settings.trust_domain_aliases)
        listeners += [terminate.listener(ctx, ctx.options.hbone_port, (), domains), _internal(ctx, view)]
        clusters.append(terminate.cluster())
        routes.append(terminate.route(RESERVED_PORTS | ctx.options.ports))
    return _Itself(catching, tuple(listeners), tuple(routes), tuple(clusters))


# Outbound ---


def _virtual_outbound(ctx: Context, view: SidecarView) -> Doc:
    guard = manager.tcp(ctx, "loop", places.duty(view), names.BLACKHOLE)
    return {
        "name": "virtualOutbound",
        **bound(ctx.proxy.addresses, "0.0.0.0", "::", ctx.options.outbound_port),
        "traffic_direction": "OUTBOUND",
        "use_original_dst": True,
        "filter_chains": [
            {
                "name": "virtualOutbound-trafficloop",
                "filter_chain_match": {"destination_port": ctx.options.outbound_port},
                "filters": guard,
            },
            {"name": "virtualOutbound-catchall-tcp", "filters": places.rest(ctx, view)},
        ],
    }


# Inbound ---


def _inbound(ctx: Context, view: SidecarView) -> Iterator[Doc]:
    if not view.proxy.uncaptured:
        made = list(inbound.listed(ctx, view))
        yield _listening(ctx, "virtualInbound", "0.0.0.0", ctx.options.inbound_port, made, True)
    for port in view.inbound:
        if port.bind:
            made = list(inbound.of_port(ctx, view, port, own=True))
            yield _listening(ctx, f"{port.bind}_{port.port}", port.bind, port.port, made, False)


def _listening(ctx: Context, name: str, bind: str, port: int, made: list[Doc], captured: bool) -> Doc:
    transparent = captured and ctx.proxy.transparent
    return {
        "name": name,
        **places.bound_at(ctx, bind, port),
        "traffic_direction": "INBOUND",
        **({"transparent": True} if transparent else {}),
        "listener_filters": [
            *([chains.ORIGINAL_DST] if captured else []),
            *([chains.ORIGINAL_SRC] if transparent else []),
            chains.TLS_INSPECTOR,
            chains.HTTP_INSPECTOR,
        ],
        "listener_filters_timeout": seconds(ctx.settings.sniffing_timeout),
        "continue_on_listener_filters_timeout": True,
        "filter_chains": made,
    }


def _internal(ctx: Context, view: SidecarView) -> Doc:
    made = list(inbound.tunnelled(ctx, view))
    if not made:
        filters = manager.tcp(ctx, "none", places.duty(view), names.BLACKHOLE)
        made = [{"name": "none", "filters": filters}]
    return {
        "name": terminate.INTERNAL,
        "internal_listener": {},
        "listener_filters": [
            chains.ORIGINAL_DST,
            *([chains.ORIGINAL_SRC] if ctx.proxy.transparent else []),
            chains.TLS_INSPECTOR,
            chains.HTTP_INSPECTOR,
        ],
        "listener_filters_timeout": seconds(ctx.settings.sniffing_timeout),
        "continue_on_listener_filters_timeout": True,
        "filter_chains": made,
    }
