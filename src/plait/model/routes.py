"""Route and its parts: one vocabulary for VirtualService, the Gateway API's routes and whatever else routes requests.

A `Routing` is what one object says: for which hosts, at which parents. Views merge routings into `VirtualHost`s, which
hold what a proxy is told. Durations are seconds, shares are percent; hosts are full names.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from plait.model.attachment import Labels

TextHow = Literal["exact", "prefix", "suffix", "contains", "regex", "present"]
PathHow = Literal["exact", "prefix", "segments", "regex"]
"""`segments` is a prefix of whole path segments: /a matches /a and /a/b, never /ab."""


class TextMatch(Struct, frozen=True, gc=False):
    """A test of one string. `regex` is RE2 over the whole value; `present` asks only that there is one."""

    how: TextHow
    value: str = ""
    ignore_case: bool = False


class PathMatch(Struct, frozen=True, gc=False):
    how: PathHow
    value: str
    ignore_case: bool = False


class FieldMatch(Struct, frozen=True, gc=False):
    """A header or query parameter; `negated`: it must not match (an absent one does not match)."""

    name: str
    value: TextMatch
    negated: bool = False


class ClaimMatch(Struct, frozen=True, gc=False):
    """A claim of the verified token: path into the claims, and its value."""

    path: tuple[str, ...]
    value: TextMatch
    negated: bool = False


class Match(Struct, frozen=True, gc=False):
    """Conditions that must all hold; what is empty says nothing."""

    name: str = ""
    path: PathMatch | None = None
    method: TextMatch | None = None
    scheme: TextMatch | None = None
    authority: TextMatch | None = None
    headers: tuple[FieldMatch, ...] = ()
    query: tuple[FieldMatch, ...] = ()
    claims: tuple[ClaimMatch, ...] = ()
    port: int = 0
    """The port that was asked for; 0 is any."""
    source_labels: Labels = ()
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()
    """Gateways ("ns/name") or "mesh" this match is limited to; empty means those of the routing."""
    stat_prefix: str = ""
    grpc: bool = False
    """Only gRPC calls."""


class HeaderChange(Struct, frozen=True, gc=False):
    """`set` overwrites, `add` appends, `remove` drops; values may hold Envoy's command operators."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


NO_CHANGE = HeaderChange()


class Destination(Struct, frozen=True, gc=False):
    """A share of the traffic. The cluster is named by hostname, port and subset.

    `broken` says why there is no such destination; its share is answered with the route's `missing_status`.
    """

    hostname: str
    port: int = 0
    """0 in a routing means "the only port, or the one that was asked for"; a view always has a number."""
    subset: str = ""
    weight: int = 1
    request: HeaderChange = NO_CHANGE
    response: HeaderChange = NO_CHANGE
    namespace: str = ""
    """Where the service must be; "" is wherever the asking proxy sees that hostname."""
    broken: str = ""


class Forward(Struct, frozen=True, gc=False):
    """Send to one destination by weight. None of them, or all of weight 0, means `missing_status`."""

    destinations: tuple[Destination, ...]
    missing_status: int = 503


class Redirect(Struct, frozen=True, gc=False):
    """Answer with a redirect; empty parts stay as asked.

    `port` 0: the default of the scheme, None: the one that was asked for (a view always has a number).
    """

    code: int = 301
    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str = ""
    """The whole new path."""
    prefix: str | None = None
    """Replaces the matched prefix."""


class Respond(Struct, frozen=True, gc=False):
    """Answer with a fixed response; the body as bytes."""

    status: int
    body: bytes = b""


class Rewrite(Struct, frozen=True, gc=False):
    """Change path (one way) and host before forwarding."""

    host: str = ""
    path: str = ""
    """The whole new path."""
    prefix: str | None = None
    """Replaces the matched prefix; of a `segments` match with due regard to slashes."""
    regex: str = ""
    substitution: str = ""


class Retry(Struct, frozen=True, gc=False):
    """`attempts` retries after the first try; 0 switches retries off."""

    attempts: int = 2
    on: tuple[str, ...] = ()
    """Envoy's conditions; empty means the default ones."""
    codes: tuple[int, ...] = ()
    per_try_timeout: float | None = None
    backoff: float | None = None
    other_localities: bool = False
    other_hosts: bool | None = None
    """Avoid hosts that were tried. None: unless a hash chooses the host, which is then tried again."""


class Delay(Struct, frozen=True, gc=False):
    seconds: float
    percent: float = 100.0


class Abort(Struct, frozen=True, gc=False):
    """Answer with an HTTP status or a gRPC one."""

    percent: float = 100.0
    status: int = 0
    grpc: int | None = None


class Fault(Struct, frozen=True, gc=False):
    delay: Delay | None = None
    abort: Abort | None = None


class Mirror(Struct, frozen=True, gc=False):
    """A copy of `percent` of the requests."""

    destination: Destination
    percent: float = 100.0


class Cors(Struct, frozen=True, gc=False):
    """Cross-origin rules; `forward_unmatched`: a preflight that does not match is the application's business."""

    origins: tuple[TextMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: float | None = None
    credentials: bool | None = None
    forward_unmatched: bool = True


class Session(Struct, frozen=True, gc=False):
    """Keep a session on one endpoint, by a cookie or header the proxy makes."""

    how: Literal["cookie", "header"] = "cookie"
    name: str = ""
    lifetime: float | None = None
    """None: until the client ends the session."""


Action: TypeAlias = Forward | Redirect | Respond


class Route(Struct, frozen=True):
    """The first route of a virtual host with a match decides. No matches: it takes everything."""

    name: str
    matches: tuple[Match, ...]
    action: Action
    rewrite: Rewrite | None = None
    timeout: float | None = None
    """0 and None: no limit."""
    retry: Retry | None = None
    """None: the mesh's default."""
    fault: Fault | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    request: HeaderChange = NO_CHANGE
    response: HeaderChange = NO_CHANGE
    session: Session | None = None
    external_authorization: str = ""
    """Name of a provider to be asked for this route only."""
    source: str = ""
    """`Kind/namespace/name` of the object that wrote it: for logs and statuses."""


class VirtualHost(Struct, frozen=True):
    """What a proxy does for some hosts. `domains` as a client may write them, without port."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    https_only: bool = False
    """Answer every plain request with a redirect to https."""


class TcpMatch(Struct, frozen=True, gc=False):
    """Conditions on a connection that must all hold."""

    destinations: tuple[str, ...] = ()
    """CIDRs."""
    sources: tuple[str, ...] = ()
    port: int = 0
    source_labels: Labels = ()
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()


class TcpRoute(Struct, frozen=True):
    """Connections to weighted destinations; none left: they are refused."""

    matches: tuple[TcpMatch, ...]
    destinations: tuple[Destination, ...]
    name: str = ""
    source: str = ""


class TlsMatch(Struct, frozen=True, gc=False):
    """As `TcpMatch`, with server names (exact or with a leading `*`)."""

    names: tuple[str, ...]
    destinations: tuple[str, ...] = ()
    port: int = 0
    source_labels: Labels = ()
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()


class TlsRoute(Struct, frozen=True):
    """Passed-through (or terminated) TLS connections to weighted destinations."""

    matches: tuple[TlsMatch, ...]
    destinations: tuple[Destination, ...]
    name: str = ""
    source: str = ""


class Parent(Struct, frozen=True, gc=False):
    """What routes are attached to: the mesh as a whole, a listener of a gateway, or a service.

    `key`: "" for mesh; "ns/name" of an Istio gateway; "gateway-api/ns/name" of a Gateway; "ns/hostname" of a service.
    """

    kind: Literal["mesh", "gateway", "service"]
    key: str = ""
    listeners: tuple[str, ...] = ()
    """Names of the listeners that take these routes; of an Istio gateway empty: all."""
    port: int = 0
    """Of a service: only this port; 0 is all."""
    producer: bool = True
    """Of a service: the routes stand in its own namespace and bind all clients, else only those of the routing's."""


class Routing(Struct, frozen=True):
    """What one object says about hosts. Kept apart until a view merges, so that one object never harms another."""

    kind: str
    namespace: str
    name: str
    hosts: tuple[str, ...]
    parents: tuple[Parent, ...]
    http: tuple[Route, ...] = ()
    tls: tuple[TlsRoute, ...] = ()
    tcp: tuple[TcpRoute, ...] = ()
    visible: tuple[str, ...] = ("*",)
    """Namespaces that see it; "*" all."""
    created: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first, then by namespace and name: who wins a conflict."""
        return self.created, self.namespace, self.name
