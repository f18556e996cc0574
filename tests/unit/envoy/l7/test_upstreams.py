"""Clusters whose endpoints change their way keep them apart."""

from __future__ import annotations

from msgspec import structs

from kit import l7
from plait.base.wellknown import DRAIN_SECONDS
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.envoy.l7.upstreams import cluster, discovered, lifetimes
from plait.model.proxies import Role
from plait.model.traffic import ClientTls, Pool, TrafficPolicy
from plait.model.views.upstreams import Upstream


def context(upstream: Upstream) -> Context:
    return Context(l7.proxy("sidecar", "client"), l7.SETTINGS, DEFAULT, {upstream.key: upstream})


def names(upstream: Upstream) -> tuple[str, str, str]:
    """Of the cluster, of what it asks for, and of what is served."""
    ctx = context(upstream)
    made, served = cluster(ctx, upstream), discovered(ctx, upstream)
    assert served is not None
    return made["name"], made["eds_cluster_config"]["service_name"], served["cluster_name"]


def test_endpoints_of_a_waypoint_never_reach_the_cluster_that_goes_straight() -> None:
    """Under one name they did when they came before their cluster: its SANs are others, so every request failed."""
    straight = l7.upstream("cart")
    name, asked, served = names(straight)
    assert asked == served == name
    behind = names(structs.replace(straight, waypoint=True))
    assert behind[0] == name, "routes name it as before"
    assert behind[1] == behind[2] != name


def test_idle_connections_end_as_said_for_http_and_else_as_said_for_tcp() -> None:
    def idle(http: bool, **pool: float) -> str | None:
        found: str | None = lifetimes(Pool(**pool), http=http).get("idle_timeout")  # type: ignore[arg-type]
        return found

    assert idle(True, tcp_idle_timeout=3.0, http_idle_timeout=5.0) == "5s"
    assert idle(True, tcp_idle_timeout=3.0) == "3s"
    assert idle(True, tcp_idle_timeout=3.0, http_idle_timeout=0.0) == "0s", "zero is a word, too: never"
    assert idle(False, tcp_idle_timeout=3.0, http_idle_timeout=5.0) == "3s"
    assert idle(False, http_idle_timeout=5.0) is None


def test_a_cluster_of_any_host_says_how_servers_prove_theirs_unless_a_rule_does() -> None:
    """Envoy refuses such a cluster otherwise, once it has any HTTP options."""

    def said(tls: ClientTls | None) -> tuple[object, bool]:
        policy = structs.replace(l7.upstream("a").policy, tls=tls)
        upstream = l7.upstream("*.example", resolution="dynamic_dns", external=True, policy=policy)
        made = cluster(context(upstream), upstream)
        (options,) = made["typed_extension_protocol_options"].values()
        config = made["cluster_type"]["typed_config"]
        return options.get("upstream_http_protocol_options"), config.get("allow_insecure_cluster_options", False)

    checked = {"auto_sni": True, "auto_san_validation": True}
    assert said(None) == said(ClientTls("simple")) == (checked, False)
    assert said(ClientTls("simple", sni="a.example")) == (None, True)
    assert said(ClientTls("simple", subject_alt_names=("a.example",))) == ({"auto_sni": True}, True)


def test_a_gateway_speaks_http_1_to_who_has_not_said_what_it_speaks() -> None:
    """Browsers and others agree on HTTP/2 with the gateway; a server that was sent that would answer 502."""

    def spoken(role: Role, upstream: Upstream) -> set[str]:
        ctx = Context(l7.proxy(role, "it"), l7.SETTINGS, DEFAULT, {upstream.key: upstream})
        (options,) = cluster(ctx, upstream)["typed_extension_protocol_options"].values()
        explicit = options.get("explicit_http_config", {})
        return {*explicit} or {name for name in options if name == "use_downstream_protocol_config"}

    unsaid = structs.replace(l7.upstream("cart"), protocol="auto")
    assert spoken("gateway", unsaid) == {"http_protocol_options"}
    assert spoken("sidecar", unsaid) == spoken("waypoint", unsaid) == {"use_downstream_protocol_config"}
    assert spoken("gateway", structs.replace(unsaid, protocol="grpc")) == {"http2_protocol_options"}
    followed = structs.replace(unsaid, policy=TrafficPolicy(pool=Pool(client_protocol=True)))
    assert spoken("gateway", followed) == {"use_downstream_protocol_config"}


def test_a_kept_connection_to_a_pod_is_closed_before_the_pods_proxy_would_end_it() -> None:
    """What a changed filter chain leaves behind is ended after the drain time, also as a request is being sent."""

    def idle(upstream: Upstream) -> str | None:
        (options,) = cluster(context(upstream), upstream)["typed_extension_protocol_options"].values()
        found: str | None = options.get("common_http_protocol_options", {}).get("idle_timeout")
        return found

    kept = idle(l7.upstream("cart"))
    assert kept is not None and 0 < float(kept.removesuffix("s")) <= DRAIN_SECONDS - 2
    assert idle(l7.upstream("cart", protocol="auto")) == kept
    assert idle(l7.upstream("cart", protocol="grpc")) is None, "a connection of HTTP/2 is told that it ends"
    assert idle(l7.upstream("far", resolution="dns", external=True)) is None, "no pod of ours"
    said = TrafficPolicy(pool=Pool(http_idle_timeout=60.0))
    assert idle(structs.replace(l7.upstream("cart"), policy=said)) == "60s"
