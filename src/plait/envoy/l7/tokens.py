"""Request authentication: JWT providers with keys inline or fetched; the token's claims become metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from plait.envoy import names
from plait.envoy.l7.context import Context, seconds
from plait.envoy.l7.matchers import JWT, PAYLOAD
from plait.envoy.pieces import Doc, any_of, extension, lookup_family, socket_address
from plait.model.http_security import JwtRule, RequestAuthentication

_FILTER = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def filters(ctx: Context, authentication: Iterable[RequestAuthentication]) -> list[Doc]:
    """None where no token is accepted: then nothing may depend on one either.

    Of a request with several good tokens the claims of one count: of the first issuer, by the alphabet as in Istio.
    """
    rules = [
        (rule, f"RequestAuthentication/{found.namespace}/{found.name}", f"spec.jwtRules[{number}]")
        for found in authentication
        for number, rule in enumerate(found.rules)
    ]
    rules.sort(key=lambda each: each[0].issuer)
    providers = {f"origins-{number}": _provider(ctx, *each) for number, each in enumerate(rules)}
    if not providers:
        return []
    accepted: list[Doc] = [{"provider_name": name} for name in providers]
    requirement = {"requires_any": {"requirements": [*accepted, {"allow_missing": {}}]}}
    config = any_of(
        _FILTER,
        providers=providers,
        rules=[{"match": {"prefix": "/"}, "requires": requirement}],
        bypass_cors_preflight=True,
    )
    return [{"name": JWT, "typed_config": config}]


def _provider(ctx: Context, rule: JwtRule, source: str, path: str) -> Doc:
    document: Doc = {
        "issuer": rule.issuer,
        "forward": rule.forward,
        "payload_in_metadata": PAYLOAD,
        "clear_route_cache": True,  # routes may depend on claims
    }
    if rule.audiences:
        document["audiences"] = list(rule.audiences)
    document |= _keys(ctx, rule, source, path)
    if rule.headers:
        document["from_headers"] = [
            {"name": name, **({"value_prefix": prefix} if prefix else {})} for name, prefix in rule.headers
        ]
    if rule.params:
        document["from_params"] = list(rule.params)
    if rule.cookies:
        document["from_cookies"] = list(rule.cookies)
    if rule.payload_header:
        document["forward_payload_header"] = rule.payload_header
    if rule.claim_headers:
        document["claim_to_headers"] = [{"header_name": n, "claim_name": c} for n, c in rule.claim_headers]
    spaced = dict.fromkeys(("scope", "permission", *rule.spaced_claims))
    document["normalize_payload_in_metadata"] = {"space_delimited_claims": list(spaced)}
    return document


def _keys(ctx: Context, rule: JwtRule, source: str, path: str) -> Doc:
    if rule.jwks:
        if _usable(rule.jwks):
            return {"local_jwks": {"inline_string": rule.jwks}}
        ctx.refuse(source, f"{path}.jwks", f"no key in it can be used; every token of {rule.issuer} is refused")
        return _NOBODY
    if not rule.jwks_uri:
        return _NOBODY  # `compile` told why
    target = _where(rule.jwks_uri)
    if target is None:
        ctx.refuse(source, path, f"not a URL; every token of {rule.issuer} is refused; write jwks or jwksUri")
        return _NOBODY
    cluster = remote(ctx, *target)
    fetched: Doc = {
        "http_uri": {"uri": rule.jwks_uri, "cluster": cluster, "timeout": seconds(rule.timeout or 5.0)},
        "cache_duration": "300s",
        "async_fetch": {"fast_listener": True},  # keys that cannot be had must not hold the listener back
    }
    return {"remote_jwks": fetched}


# Keys that are never had: Envoy refuses the whole listener for a key set without one good key.
_NOBODY: Doc = {
    "remote_jwks": {"http_uri": {"uri": "http://none.invalid/", "cluster": names.BLACKHOLE, "timeout": "1s"}}
}
_PARTS = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}


def _usable(jwks: str) -> bool:
    """Whether at least one key has the parts of its kind; a PEM is no key set."""
    try:
        keys = json.loads(jwks)["keys"]
        return any(all(isinstance(key.get(part), str) and key[part] for part in _PARTS[key["kty"]]) for key in keys)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _where(uri: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an http(s) URL; None for anything else."""
    try:
        parts = urlsplit(uri)
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.scheme in ("http", "https") and parts.hostname else None


def remote(ctx: Context, scheme: str, host: str, port: int) -> str:
    """The cluster for a URL: the mesh's own where it has one, else one made for it."""
    if (host, port, "") in ctx.upstreams:
        return ctx.cluster(host, port)
    name = f"remote|{port}||{host}"
    document: Doc = {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "10s",
        "dns_lookup_family": lookup_family(ctx.proxy.addresses),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(host, port)}}]}],
        },
    }
    if scheme == "https":
        check = {
            "trusted_ca": {"filename": ctx.options.system_roots},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
        }
        document["transport_socket"] = extension(
            "envoy.transport_sockets.tls",
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            sni=host,
            common_tls_context={"validation_context": check},
        )
    ctx.extra[name] = document
    return name
