"""What an HTTP proxy decides with: authorization rules with every attribute, tokens it accepts, external authorizers.

L4 rules for node proxies are in `model.policies`; words common to both come from there.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from plait.model.attachment import Attachment
from plait.model.policies import Account, Range, Text


class PathText(Struct, frozen=True, gc=False):
    """A test of the path: as `Text`, or `template` with {*} for one segment and {**} for the rest."""

    how: Literal["exact", "prefix", "suffix", "presence", "template"]
    value: str = ""


class Source(Struct, frozen=True, gc=False):
    """Who calls. Fields AND, values of a field OR, `not_…` negates; principals without `spiffe://`."""

    principals: tuple[Text, ...] = ()
    not_principals: tuple[Text, ...] = ()
    request_principals: tuple[Text, ...] = ()
    """`issuer/subject` of the verified token; `token_parts` says what is asked of each."""
    not_request_principals: tuple[Text, ...] = ()
    namespaces: tuple[Text, ...] = ()
    not_namespaces: tuple[Text, ...] = ()
    accounts: tuple[Account, ...] = ()
    not_accounts: tuple[Account, ...] = ()
    ips: tuple[Range, ...] = ()
    """The address of the connection."""
    not_ips: tuple[Range, ...] = ()
    remote_ips: tuple[Range, ...] = ()
    """The original client's address (X-Forwarded-For or PROXY protocol)."""
    not_remote_ips: tuple[Range, ...] = ()
    trust_domains: tuple[Text, ...] = ()
    not_trust_domains: tuple[Text, ...] = ()


def token_parts(test: Text) -> tuple[Text, Text]:
    """What a test of `issuer/subject` asks of each: the last slash parts them, because an issuer may be a URL.

    A star stands for the rest of its own part only, so `https://a/*` means this issuer's tokens, not those of
    `https://a/b`. A test without a slash that begins with a star is about the subject, any other about the issuer.
    """
    anything = Text("presence")
    head, slash, tail = test.value.rpartition("/")
    issuer, subject = (Text("exact", head), Text("exact", tail)) if slash else (Text("exact", tail), Text("exact"))
    match test.how:
        case "presence":
            return anything, anything
        case "suffix" if not slash:
            return anything, test
        case "suffix":
            return Text("suffix", head) if head else anything, subject
        case "prefix" if not slash:
            return test, anything
        case "prefix":
            return issuer, Text("prefix", tail) if tail else anything
        case _:
            return issuer, subject


class Operation(Struct, frozen=True, gc=False):
    """What is called."""

    hosts: tuple[Text, ...] = ()
    not_hosts: tuple[Text, ...] = ()
    ports: tuple[int, ...] = ()
    not_ports: tuple[int, ...] = ()
    methods: tuple[Text, ...] = ()
    not_methods: tuple[Text, ...] = ()
    paths: tuple[PathText, ...] = ()
    not_paths: tuple[PathText, ...] = ()


Attribute = Literal[
    "header",
    "header.item",
    "source.ip",
    "remote.ip",
    "source.namespace",
    "source.principal",
    "source.account",
    "source.trust_domain",
    "token.principal",
    "token.audience",
    "token.presenter",
    "token.claim",
    "destination.ip",
    "destination.port",
    "sni",
    "filter",
]


class Condition(Struct, frozen=True, gc=False):
    """One attribute: any of the values, none of the `not_` ones. Which of the value fields is used follows from it."""

    attribute: Attribute
    name: str = ""
    """Header name (`header.item`: of one value among commas), or filter into whose metadata `path` leads."""
    path: tuple[str, ...] = ()
    """Claim path."""
    texts: tuple[Text, ...] = ()
    not_texts: tuple[Text, ...] = ()
    ranges: tuple[Range, ...] = ()
    not_ranges: tuple[Range, ...] = ()
    ports: tuple[int, ...] = ()
    not_ports: tuple[int, ...] = ()
    accounts: tuple[Account, ...] = ()
    not_accounts: tuple[Account, ...] = ()
    is_list: bool = False
    """The value is a list (written in brackets): one of its items must match."""

    @property
    def of_requests(self) -> bool:
        """Whether a connection as such has no such thing."""
        if self.attribute == "filter":
            return self.name.startswith("envoy.filters.http.")  # network filters write metadata, too
        return self.attribute in _OF_REQUESTS


_OF_REQUESTS: frozenset[Attribute] = frozenset(
    ("header", "header.item", "token.principal", "token.audience", "token.presenter", "token.claim")
)


class HttpRule(Struct, frozen=True, gc=False):
    """Any source, any operation, every condition. Empty fields say nothing."""

    sources: tuple[Source, ...] = ()
    operations: tuple[Operation, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def of_requests(self) -> bool:
        """Whether something in it is about requests, and cannot be checked of a connection as such."""
        return (
            any(s.request_principals or s.not_request_principals for s in self.sources)
            or any(
                o.hosts or o.not_hosts or o.methods or o.not_methods or o.paths or o.not_paths for o in self.operations
            )
            or any(c.of_requests for c in self.conditions)
        )


class HttpPolicy(Struct, frozen=True):
    """One authorization policy. Without rules it never matches (an ALLOW then allows nothing)."""

    name: str
    namespace: str
    action: Literal["allow", "deny", "audit", "custom"]
    attachment: Attachment
    rules: tuple[HttpRule, ...] = ()
    provider: str = ""
    """Of `custom`: the external authorizer."""
    dry_run: bool = False
    created: str = ""
    needs_http: bool = False
    """Something in it no node proxy can check."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


class JwtRule(Struct, frozen=True, gc=False):
    """An accepted issuer. Keys inline, or to be fetched from `jwks_uri`; with neither no token of it passes."""

    issuer: str
    audiences: tuple[str, ...] = ()
    jwks: str = ""
    jwks_uri: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """(name, prefix); with no header, parameter or cookie given: Authorization `Bearer ` and access_token."""
    params: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    forward: bool = False
    payload_header: str = ""
    claim_headers: tuple[tuple[str, str], ...] = ()
    """(header, claim)."""
    timeout: float | None = None
    spaced_claims: tuple[str, ...] = ()


class RequestAuthentication(Struct, frozen=True):
    """Tokens accepted at some workloads; a request without one passes, a bad one never does."""

    name: str
    namespace: str
    attachment: Attachment
    rules: tuple[JwtRule, ...] = ()
    created: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


class Body(Struct, frozen=True, gc=False):
    """How much of the body an authorizer sees."""

    limit: int
    partial: bool = False
    as_bytes: bool = False


class Authorizer(Struct, frozen=True, gc=False):
    """An external authorization service. `broken`: it cannot be asked, so what needs it is denied."""

    name: str
    protocol: Literal["http", "grpc"]
    hostname: str
    port: int
    namespace: str = ""
    timeout: float | None = None
    fail_open: bool = False
    status_on_error: int = 403
    path_prefix: str = ""
    clear_route_cache: bool = False
    headers: tuple[str, ...] = ()
    """Request headers sent along (may end or begin with `*`)."""
    extra_headers: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    upstream_headers: tuple[str, ...] = ()
    deny_headers: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    broken: str = ""
