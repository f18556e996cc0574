"""VirtualService: routing rules for HTTP, TLS and TCP traffic to a set of hosts, as users write them."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from plait.resources.markers import Duration, Int32, Model, UInt32, doc, limit
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import Destination, FractionPercent, StringMatch


class Delegate(Model, frozen=True, kw_only=True):
    """Another VirtualService (without hosts) that holds the routes behind this match."""

    name: str = ""
    namespace: str = ""


class HeaderOperations(Model, frozen=True, kw_only=True):
    """Headers to overwrite, append and drop, in that order."""

    set: dict[str, str] = {}
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class Headers(Model, frozen=True, kw_only=True):
    """Header changes on the way to and from the destination."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HTTPMatchRequest(Model, frozen=True, kw_only=True):
    """Conditions that must all hold for the rule to apply to a request."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = {}
    port: UInt32 = 0
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    query_params: dict[str, StringMatch] = {}
    ignore_uri_case: bool = False
    without_headers: dict[str, StringMatch] = {}
    source_namespace: str = ""
    stat_prefix: str = ""


class HTTPRouteDestination(Model, frozen=True, kw_only=True):
    """One destination of a weighted split, with its own header changes."""

    destination: Destination
    weight: Int32 = 0
    headers: Headers | None = None


class RouteDestination(Model, frozen=True, kw_only=True):
    """One destination of a weighted split of connections."""

    destination: Destination
    weight: Int32 = 0


class HTTPRedirect(Model, frozen=True, kw_only=True):
    """Answer with a redirect instead of forwarding."""

    uri: str = ""
    authority: str = ""
    port: UInt32 | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    redirect_code: UInt32 = 0
    prefix_rewrite: str = ""


class HTTPBody(Model, frozen=True, kw_only=True):
    """A fixed response body, as text or as base64."""

    string: str | None = None
    bytes: Annotated[str, limit(format="byte")] | None = None


class HTTPDirectResponse(Model, frozen=True, kw_only=True):
    """Answer with a fixed status and body instead of forwarding."""

    status: UInt32
    body: HTTPBody | None = None


class RegexRewrite(Model, frozen=True, kw_only=True):
    """Replace what an RE2 expression matches in the path; \\1 … stand for its groups."""

    match: str = ""
    rewrite: str = ""


class HTTPRewrite(Model, frozen=True, kw_only=True):
    """Change path and authority before forwarding."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPRetry(Model, frozen=True, kw_only=True):
    """When and how often a failed request is tried again."""

    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class FaultDelay(Model, frozen=True, kw_only=True):
    """Hold a share of requests back for a time."""

    percent: Int32 | None = None
    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    percentage: FractionPercent | None = None


class FaultAbort(Model, frozen=True, kw_only=True):
    """Answer a share of requests with an error."""

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = None
    percentage: FractionPercent | None = None


class HTTPFaultInjection(Model, frozen=True, kw_only=True):
    """Faults put into the traffic on purpose."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class HTTPMirrorPolicy(Model, frozen=True, kw_only=True):
    """A destination that gets a copy of a share of the requests; its answers are dropped."""

    destination: Destination
    percentage: FractionPercent | None = None


class CorsPolicy(Model, frozen=True, kw_only=True):
    """Cross-origin rules the proxy answers preflight requests with."""

    allow_origin: tuple[str, ...] = ()
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"


class HTTPRoute(Model, frozen=True, kw_only=True):
    """One HTTP rule: the first whose match holds decides."""

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percent: UInt32 | None = None
    mirror_percent_old: UInt32 | None = msgspec.field(default=None, name="mirror_percent")
    mirror_percentage: FractionPercent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class TLSMatchAttributes(Model, frozen=True, kw_only=True):
    """Conditions on a TLS connection that is passed through."""

    sni_hosts: tuple[str, ...]
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TLSRoute(Model, frozen=True, kw_only=True):
    """A rule for TLS connections by their server name."""

    match: tuple[TLSMatchAttributes, ...]
    route: tuple[RouteDestination, ...] = ()


class L4MatchAttributes(Model, frozen=True, kw_only=True):
    """Conditions on a TCP connection."""

    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_subnet: str = ""
    source_labels: dict[str, str] = {}
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


class TCPRoute(Model, frozen=True, kw_only=True):
    """A rule for opaque TCP connections."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class VirtualServiceSpec(Model, frozen=True, kw_only=True):
    """How traffic to `hosts` is routed."""

    hosts: Annotated[
        tuple[str, ...], doc("Host names the rules apply to; short names get the object's namespace.")
    ] = ()
    gateways: Annotated[
        tuple[str, ...], doc("Gateways (namespace/name) and the word `mesh` for all sidecars; default is mesh.")
    ] = ()
    http: Annotated[tuple[HTTPRoute, ...], doc("Rules for HTTP traffic, the first match wins.")] = ()
    tls: Annotated[tuple[TLSRoute, ...], doc("Rules for passed-through TLS, by server name.")] = ()
    tcp: Annotated[tuple[TCPRoute, ...], doc("Rules for all other TCP traffic.")] = ()
    export_to: Annotated[tuple[str, ...], doc("Namespaces that see the rules: `.` this one, `*` all, `~` none.")] = ()


class VirtualService(IstioResource, frozen=True, kw_only=True):
    """Routing rules for a set of hosts."""

    spec: VirtualServiceSpec = VirtualServiceSpec()
