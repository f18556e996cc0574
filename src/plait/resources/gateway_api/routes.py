"""The routes of the Gateway API (HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute), as users write them."""

from __future__ import annotations

from typing import Annotated, Literal

from plait.resources.gateway_api.shared import (
    BackendObjectReference,
    BackendRef,
    CoreGroup,
    DefaultGateways,
    GatewayApiResource,
    GwDuration,
    HeaderFilter,
    HeaderName,
    HeaderValue,
    Hostname,
    LocalObjectReference,
    NamespaceName,
    ObjectName,
    ParentReferences,
    PreciseHostname,
    RequestMirrorFilter,
    RouteStatus,
    SectionName,
    SessionPersistence,
    Weight,
)
from plait.resources.markers import ATOMIC, SET, Model, Port, keyed, limit

MatchType = Annotated[Literal["Exact", "RegularExpression"], limit(default="Exact")]
HTTPMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
_ServiceKind = Annotated[
    str, limit(minLength=1, maxLength=63, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", default="Service")
]
_ROOT_PATH = {"type": "PathPrefix", "value": "/"}


class HTTPPathMatch(Model, frozen=True, kw_only=True):
    """The path: whole segments from the start, exactly, or by expression."""

    type: Annotated[Literal["Exact", "PathPrefix", "RegularExpression"], limit(default="PathPrefix")] = "PathPrefix"
    value: Annotated[str, limit(maxLength=1024, default="/")] = "/"


class HTTPHeaderMatch(Model, frozen=True, kw_only=True):
    """A header and its value."""

    type: MatchType = "Exact"
    name: HeaderName
    value: HeaderValue


class HTTPQueryParamMatch(Model, frozen=True, kw_only=True):
    """A query parameter and its value."""

    type: MatchType = "Exact"
    name: HeaderName
    value: Annotated[str, limit(minLength=1, maxLength=1024)]


class HTTPRouteMatch(Model, frozen=True, kw_only=True):
    """Conditions that must all hold."""

    path: Annotated[HTTPPathMatch, limit(default=_ROOT_PATH)] = HTTPPathMatch()
    headers: Annotated[tuple[HTTPHeaderMatch, ...], limit(maxItems=16), keyed("name")] = ()
    query_params: Annotated[tuple[HTTPQueryParamMatch, ...], limit(maxItems=16), keyed("name")] = ()
    method: HTTPMethod | None = None


class HTTPPathModifier(Model, frozen=True, kw_only=True):
    """A change of the path: all of it, or the matched prefix."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: Annotated[str, limit(maxLength=1024)] | None = None
    replace_prefix_match: Annotated[str, limit(maxLength=1024)] | None = None


class HTTPRequestRedirectFilter(Model, frozen=True, kw_only=True):
    """Answer with a redirect."""

    scheme: Literal["http", "https"] | None = None
    hostname: PreciseHostname | None = None
    path: HTTPPathModifier | None = None
    port: Port | None = None
    status_code: Annotated[Literal[301, 302, 303, 307, 308], limit(default=302)] = 302


class HTTPURLRewriteFilter(Model, frozen=True, kw_only=True):
    """Change host and path before forwarding."""

    hostname: PreciseHostname | None = None
    path: HTTPPathModifier | None = None


_ORIGIN = r"(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)"
_HeaderSet = Annotated[tuple[HeaderName, ...], limit(maxItems=64), SET]
_StringSet = Annotated[tuple[str, ...], limit(maxItems=64), SET]
CorsMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"]


class HTTPCORSFilter(Model, frozen=True, kw_only=True):
    """Cross-origin rules."""

    allow_origins: Annotated[
        tuple[Annotated[str, limit(minLength=1, maxLength=253, pattern=_ORIGIN)], ...], limit(maxItems=64), SET
    ] = ()
    allow_credentials: bool | None = None
    allow_methods: Annotated[tuple[CorsMethod, ...], limit(maxItems=9), SET] = ()
    allow_headers: _HeaderSet = ()
    expose_headers: _HeaderSet = ()
    max_age: Annotated[int, limit(format="int32", minimum=1, default=5)] = 5


class GRPCAuthConfig(Model, frozen=True, kw_only=True):
    """Headers sent to a gRPC authorizer."""

    allowed_headers: _StringSet = ()


class HTTPAuthConfig(Model, frozen=True, kw_only=True):
    """Path and headers sent to an HTTP authorizer, and headers taken from its answer."""

    path: Annotated[str, limit(maxLength=1024, pattern=r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$")] = ""
    allowed_headers: _StringSet = ()
    allowed_response_headers: _StringSet = ()


class ForwardBodyConfig(Model, frozen=True, kw_only=True):
    """How much of the body the authorizer sees."""

    max_size: int | None = None


class HTTPExternalAuthFilter(Model, frozen=True, kw_only=True):
    """Ask an external authorizer first."""

    protocol: Literal["HTTP", "GRPC"]
    backend_ref: BackendObjectReference
    grpc: GRPCAuthConfig | None = None
    http: HTTPAuthConfig | None = None
    forward_body: ForwardBodyConfig | None = None


class HTTPRouteFilter(Model, frozen=True, kw_only=True):
    """One step of processing; the field named by `type` holds its settings."""

    type: Literal[
        "RequestHeaderModifier",
        "ResponseHeaderModifier",
        "RequestMirror",
        "RequestRedirect",
        "URLRewrite",
        "ExtensionRef",
        "CORS",
        "ExternalAuth",
    ]
    request_header_modifier: HeaderFilter | None = None
    response_header_modifier: HeaderFilter | None = None
    request_mirror: RequestMirrorFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    cors: HTTPCORSFilter | None = None
    external_auth: HTTPExternalAuthFilter | None = None
    extension_ref: LocalObjectReference | None = None


HTTPFilters = Annotated[tuple[HTTPRouteFilter, ...], limit(maxItems=16), ATOMIC]


class HTTPBackendRef(Model, frozen=True, kw_only=True):
    """A backend with its share and filters of its own."""

    group: CoreGroup = ""
    kind: _ServiceKind = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: Port | None = None
    weight: Weight = 1
    filters: HTTPFilters = ()


class HTTPRouteTimeouts(Model, frozen=True, kw_only=True):
    """Time for the whole request and for one try; 0s is no limit."""

    request: GwDuration | None = None
    backend_request: GwDuration | None = None


class HTTPRouteRetry(Model, frozen=True, kw_only=True):
    """When and how often a request is tried again."""

    codes: Annotated[tuple[Annotated[int, limit(minimum=400, maximum=599)], ...], SET] = ()
    attempts: Annotated[int, limit(minimum=1)] | None = None
    backoff: GwDuration | None = None


class HTTPRouteRule(Model, frozen=True, kw_only=True):
    """Matches (any of them), filters and backends."""

    name: SectionName | None = None
    matches: Annotated[tuple[HTTPRouteMatch, ...], limit(maxItems=64, default=[{"path": _ROOT_PATH}]), ATOMIC] = (
        HTTPRouteMatch(),
    )
    filters: HTTPFilters = ()
    backend_refs: Annotated[tuple[HTTPBackendRef, ...], limit(maxItems=16), ATOMIC] = ()
    timeouts: HTTPRouteTimeouts | None = None
    retry: HTTPRouteRetry | None = None
    session_persistence: SessionPersistence | None = None


Hostnames = Annotated[tuple[Hostname, ...], limit(maxItems=16), ATOMIC]


class HTTPRouteSpec(Model, frozen=True, kw_only=True):
    """Where HTTP requests for `hostnames` at the parents go."""

    parent_refs: ParentReferences = ()
    hostnames: Hostnames = ()
    rules: Annotated[
        tuple[HTTPRouteRule, ...],
        limit(minItems=1, maxItems=16, default=[{"matches": [{"path": _ROOT_PATH}]}]),
        ATOMIC,
    ] = (HTTPRouteRule(),)
    use_default_gateways: DefaultGateways | None = None


class HTTPRoute(GatewayApiResource, frozen=True, kw_only=True):
    """Rules for HTTP requests."""

    spec: HTTPRouteSpec
    status: RouteStatus | None = None


class GRPCMethodMatch(Model, frozen=True, kw_only=True):
    """Service and method of a call."""

    type: MatchType = "Exact"
    service: Annotated[str, limit(maxLength=1024)] | None = None
    method: Annotated[str, limit(maxLength=1024)] | None = None


class GRPCHeaderMatch(Model, frozen=True, kw_only=True):
    """A metadata key and its value."""

    type: MatchType = "Exact"
    name: HeaderName
    value: Annotated[str, limit(minLength=1, maxLength=4096)]


class GRPCRouteMatch(Model, frozen=True, kw_only=True):
    """Conditions that must all hold."""

    method: GRPCMethodMatch | None = None
    headers: Annotated[tuple[GRPCHeaderMatch, ...], limit(maxItems=16), keyed("name")] = ()


class GRPCRouteFilter(Model, frozen=True, kw_only=True):
    """One step of processing; the field named by `type` holds its settings."""

    type: Literal["ResponseHeaderModifier", "RequestHeaderModifier", "RequestMirror", "ExtensionRef"]
    request_header_modifier: HeaderFilter | None = None
    response_header_modifier: HeaderFilter | None = None
    request_mirror: RequestMirrorFilter | None = None
    extension_ref: LocalObjectReference | None = None


GRPCFilters = Annotated[tuple[GRPCRouteFilter, ...], limit(maxItems=16), ATOMIC]


class GRPCBackendRef(Model, frozen=True, kw_only=True):
    """A backend with its share and filters of its own."""

    group: CoreGroup = ""
    kind: _ServiceKind = "Service"
    name: ObjectName
    namespace: NamespaceName | None = None
    port: Port | None = None
    weight: Weight = 1
    filters: GRPCFilters = ()


class GRPCRouteRule(Model, frozen=True, kw_only=True):
    """Matches (any of them), filters and backends."""

    name: SectionName | None = None
    matches: Annotated[tuple[GRPCRouteMatch, ...], limit(maxItems=64), ATOMIC] = ()
    filters: GRPCFilters = ()
    backend_refs: Annotated[tuple[GRPCBackendRef, ...], limit(maxItems=16), ATOMIC] = ()
    session_persistence: SessionPersistence | None = None


class GRPCRouteSpec(Model, frozen=True, kw_only=True):
    """Where gRPC calls for `hostnames` at the parents go."""

    parent_refs: ParentReferences = ()
    hostnames: Hostnames = ()
    rules: Annotated[tuple[GRPCRouteRule, ...], limit(maxItems=16), ATOMIC] = ()
    use_default_gateways: DefaultGateways | None = None


class GRPCRoute(GatewayApiResource, frozen=True, kw_only=True):
    """Rules for gRPC calls."""

    spec: GRPCRouteSpec
    status: RouteStatus | None = None


_Backends = Annotated[tuple[BackendRef, ...], limit(minItems=1, maxItems=16), ATOMIC]


class TLSRouteRule(Model, frozen=True, kw_only=True):
    """Backends for the connections."""

    name: SectionName | None = None
    backend_refs: _Backends


class TLSRouteSpec(Model, frozen=True, kw_only=True):
    """Where TLS connections for `hostnames` (by server name) go, unopened."""

    parent_refs: ParentReferences = ()
    hostnames: Annotated[tuple[Hostname, ...], limit(minItems=1, maxItems=1024), ATOMIC]
    rules: Annotated[tuple[TLSRouteRule, ...], limit(minItems=1, maxItems=1), ATOMIC]
    use_default_gateways: DefaultGateways | None = None


class TLSRoute(GatewayApiResource, frozen=True, kw_only=True):
    """Rules for TLS connections by server name."""

    spec: TLSRouteSpec
    status: RouteStatus | None = None


class TCPRouteRule(Model, frozen=True, kw_only=True):
    """Backends for the connections."""

    name: SectionName | None = None
    backend_refs: _Backends


class TCPRouteSpec(Model, frozen=True, kw_only=True):
    """Where TCP connections at the parents go."""

    parent_refs: ParentReferences = ()
    rules: Annotated[tuple[TCPRouteRule, ...], limit(minItems=1, maxItems=1), ATOMIC]
    use_default_gateways: DefaultGateways | None = None


class TCPRoute(GatewayApiResource, frozen=True, kw_only=True):
    """Rules for TCP connections."""

    spec: TCPRouteSpec
    status: RouteStatus | None = None


class UDPRouteRule(Model, frozen=True, kw_only=True):
    """Backends for the datagrams."""

    name: SectionName | None = None
    backend_refs: _Backends


class UDPRouteSpec(Model, frozen=True, kw_only=True):
    """Where datagrams at the parents would go."""

    parent_refs: ParentReferences = ()
    rules: Annotated[tuple[UDPRouteRule, ...], limit(minItems=1, maxItems=1), ATOMIC]
    use_default_gateways: DefaultGateways | None = None


class UDPRoute(GatewayApiResource, frozen=True, kw_only=True):
    """Rules for datagrams: known, so that it can be answered; no proxy carries UDP."""

    spec: UDPRouteSpec
    status: RouteStatus | None = None
