"""Istio's security kinds: PeerAuthentication, RequestAuthentication, AuthorizationPolicy, as users write them."""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from plait.resources.markers import Duration, Model, Text, cel, doc, limit
from plait.resources.meta import IstioResource
from plait.resources.networking.traffic import LabelMatch, TargetReference, TargetReferences


class MutualTLS(Model, frozen=True, kw_only=True):
    """Whether connections to the workload must, may or must not be mutual TLS."""

    mode: Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"] = "UNSET"


class PeerAuthenticationSpec(Model, frozen=True, kw_only=True):
    """Mutual TLS on connections to the chosen workloads."""

    selector: LabelMatch | None = None
    mtls: MutualTLS | None = None
    port_level_mtls: Annotated[
        dict[str, MutualTLS],
        limit(minProperties=1),
        doc("By port number of the workload; needs a selector."),
        cel("self.all(key, 0 < int(key) && int(key) <= 65535)", "port must be between 1-65535"),
    ] = {}


class PeerAuthentication(IstioResource, frozen=True, kw_only=True):
    """Mutual TLS toward workloads."""

    spec: PeerAuthenticationSpec = PeerAuthenticationSpec()


class JWTHeader(Model, frozen=True, kw_only=True):
    """A header that carries the token, after an optional prefix such as `Bearer `."""

    name: Text
    prefix: str = ""


class ClaimToHeader(Model, frozen=True, kw_only=True):
    """A claim copied to a request header."""

    header: Annotated[str, limit(minLength=1, pattern=r"^[-_A-Za-z0-9]+$")]
    claim: Text


_Uri = Annotated[str, limit(minLength=1, maxLength=2048)]


class JWTRule(Model, frozen=True, kw_only=True):
    """One accepted issuer: its keys, where tokens are found, and what is passed on."""

    issuer: Text = ""
    audiences: tuple[Text, ...] = ()
    jwks_uri: _Uri | None = None
    jwks_uri_old: _Uri | None = msgspec.field(default=None, name="jwks_uri")
    jwks: str | None = None
    from_headers: tuple[JWTHeader, ...] = ()
    from_params: tuple[Text, ...] = ()
    from_cookies: tuple[Text, ...] = ()
    output_payload_to_header: str = ""
    forward_original_token: bool = False
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    timeout: Duration | None = None
    space_delimited_claims: Annotated[tuple[Text, ...], limit(maxItems=64)] = ()


class RequestAuthenticationSpec(Model, frozen=True, kw_only=True):
    """JSON web tokens accepted by the chosen workloads; a request without a token passes."""

    selector: LabelMatch | None = None
    target_ref: TargetReference | None = None
    target_refs: TargetReferences = ()
    jwt_rules: Annotated[tuple[JWTRule, ...], limit(maxItems=4096)] = ()


class RequestAuthentication(IstioResource, frozen=True, kw_only=True):
    """Which end-user tokens are accepted."""

    spec: RequestAuthenticationSpec = RequestAuthenticationSpec()


_Account = Annotated[str, limit(maxLength=320)]
_Accounts = Annotated[tuple[_Account, ...], limit(maxItems=16)]


class Source(Model, frozen=True, kw_only=True):
    """Who calls: every given list must match, each by one of its entries."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: _Accounts = ()
    not_service_accounts: _Accounts = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()


class From(Model, frozen=True, kw_only=True):
    """One source."""

    source: Source | None = None


class Operation(Model, frozen=True, kw_only=True):
    """What is called: every given list must match, each by one of its entries."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class To(Model, frozen=True, kw_only=True):
    """One operation."""

    operation: Operation | None = None


class Condition(Model, frozen=True, kw_only=True):
    """A further attribute of the request, such as request.headers[x], with values it must or must not have."""

    key: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class Rule(Model, frozen=True, kw_only=True):
    """One rule: a source, an operation and every condition must match."""

    from_: Annotated[tuple[From, ...], limit(maxItems=512)] = ()
    to: tuple[To, ...] = ()
    when: tuple[Condition, ...] = ()


class ExtensionProvider(Model, frozen=True, kw_only=True):
    """The external authorizer, by its name in the mesh configuration."""

    name: str = ""


class AuthorizationPolicySpec(Model, frozen=True, kw_only=True):
    """Who may do what at the chosen workloads. ALLOW without rules allows nothing."""

    selector: LabelMatch | None = None
    target_ref: TargetReference | None = None
    target_refs: TargetReferences = ()
    rules: Annotated[tuple[Rule, ...] | None, limit(maxItems=512)] = None
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = "ALLOW"
    provider: ExtensionProvider | None = None


class AuthorizationPolicy(IstioResource, frozen=True, kw_only=True):
    """Access control of workloads."""

    spec: AuthorizationPolicySpec = AuthorizationPolicySpec()
