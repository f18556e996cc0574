"""TLS of L7 proxies: what a server shows and demands, how a client of an upstream behaves; secrets are named, not held.

Names are Istio's: `default` and `ROOTCA` for the workload's own, `kubernetes://ns/name[-cacert]` for Secrets,
`configmap://ns/name-cacert` for roots out of ConfigMaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from plait.envoy import names
from plait.envoy.l7.context import Context
from plait.envoy.pieces import ADS, Doc, any_of
from plait.model.gateways import Certificate, ServerTls
from plait.model.traffic import ClientTls

WORKLOAD, SECRET, ROOTS = "default", "kubernetes://", "-cacert"
_VERSION = {"1.0": "TLSv1_0", "1.1": "TLSv1_1", "1.2": "TLSv1_2", "1.3": "TLSv1_3"}
HTTP_ALPN = ("h2", "http/1.1")


def secret(name: str) -> str:
    """SDS name of a certificate with its key."""
    return f"{SECRET}{name}"


def roots(name: str) -> str:
    """SDS name of roots: of a Secret ("ns/name") or of a ConfigMap ("configmap:ns/name")."""
    if name.startswith("configmap:"):
        return f"configmap://{name.removeprefix('configmap:')}{ROOTS}"
    return f"{SECRET}{name}{ROOTS}"


def sds(name: str) -> Doc:
    return {"name": name, "sds_config": ADS}


# Servers ---

_NOBODY: Doc = {"verify_certificate_hash": ["0" * 64]}
"""Without roots Envoy would take any certificate, or refuse the listener where names are expected."""


def server(ctx: Context, wanted: ServerTls, alpn: Iterable[str], source: str) -> Doc:
    """The transport socket that ends TLS as a gateway's server says."""
    others = ctx.settings.other_ciphers
    common: Doc = {
        "tls_params": _params(wanted.least, wanted.most, wanted.ciphers or others, ctx.settings.other_curves)
    }
    if alpn:
        common["alpn_protocols"] = list(alpn)
    if wanted.mode == "istio_simple":
        common["tls_certificate_sds_secret_configs"] = [sds(WORKLOAD)]
        return _downstream(common, require=False)
    if wanted.mode == "istio_mutual":
        common["tls_certificate_sds_secret_configs"] = [sds(WORKLOAD)]
        common["combined_validation_context"] = _combined(names.ROOT_SECRET, _checks(wanted))
        return _downstream(common, require=True)
    _certificates(common, wanted.certificates)
    mutual = wanted.mode in ("mutual", "optional_mutual")
    if mutual:
        _client_roots(ctx, common, wanted, source)
    return _downstream(common, require=wanted.mode == "mutual" and not wanted.insecure)


def _certificates(common: Doc, wanted: tuple[Certificate, ...]) -> None:
    named = [sds(secret(each.secret)) for each in wanted if each.secret]
    files = [
        {
            "certificate_chain": {"filename": each.certificate_file},
            "private_key": {"filename": each.key_file},
        }
        for each in wanted
        if not each.secret
    ]
    if named:
        common["tls_certificate_sds_secret_configs"] = named
    if files:
        common["tls_certificates"] = files


def _client_roots(ctx: Context, common: Doc, wanted: ServerTls, source: str) -> None:
    checks = _checks(wanted)
    if wanted.insecure:
        checks["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
    if wanted.crl_file:
        checks["crl"] = {"filename": wanted.crl_file}
    name = wanted.client_roots_secret or next((each.secret for each in wanted.certificates if each.secret), "")
    if wanted.client_roots_more:
        ctx.refuse(source, "tls.caCertificateRefs", "only the first of several client roots is used; join them in one")
    if wanted.client_roots_file:
        common["validation_context"] = {**checks, "trusted_ca": {"filename": wanted.client_roots_file}}
    elif name:
        common["combined_validation_context"] = _combined(roots(name), checks)
    elif wanted.insecure:
        common["validation_context"] = checks
    else:
        ctx.refuse(source, "tls", "no roots are given for client certificates: every client is refused; add them")
        common["validation_context"] = _NOBODY


def _checks(wanted: ServerTls) -> Doc:
    document: Doc = {}
    if wanted.subject_alt_names:
        document["match_typed_subject_alt_names"] = [_san(name) for name in wanted.subject_alt_names]
    if wanted.spki:
        document["verify_certificate_spki"] = list(wanted.spki)
    if wanted.hashes:
        document["verify_certificate_hash"] = list(wanted.hashes)
    return document


def mesh_server(ctx: Context, alpn: Iterable[str], *, hbone: bool = False, domains: tuple[str, ...] = ()) -> Doc:
    """Mutual TLS with the workload's own certificate: of a sidecar's inbound side, and of tunnels (TLS 1.3 only)."""
    trusted = domains or (ctx.proxy.trust_domain, *ctx.settings.trust_domain_aliases)
    checks: Doc = {
        "match_typed_subject_alt_names": [
            {"san_type": "URI", "matcher": {"prefix": f"spiffe://{domain}/"}} for domain in trusted
        ]
    }
    least = "1.3" if hbone else ctx.settings.tls_least or "1.2"
    ciphers, curves = ((), ()) if hbone else (ctx.settings.tls_ciphers, ctx.settings.tls_curves)
    common: Doc = {
        "tls_params": _params(least, "1.3", ciphers, curves),
        "alpn_protocols": list(alpn),
        "tls_certificate_sds_secret_configs": [sds(WORKLOAD)],
        "combined_validation_context": _combined(names.ROOT_SECRET, checks),
    }
    return _downstream(common, require=True)


def _downstream(common: Doc, *, require: bool) -> Doc:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": any_of(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context=common,
            require_client_certificate=require,
        ),
    }


def _params(least: str, most: str, ciphers: tuple[str, ...], curves: tuple[str, ...]) -> Doc:
    document: Doc = {"tls_minimum_protocol_version": _VERSION.get(least, "TLSv1_2")}
    if most:
        document["tls_maximum_protocol_version"] = _VERSION[most]
    if ciphers:
        document["cipher_suites"] = list(ciphers)
    if curves:
        document["ecdh_curves"] = list(curves)
    return document


# Clients ---


def workload_client(sans: Iterable[str], sni: str, alpn: Iterable[str], *, hbone: bool = False) -> Doc:
    """Istio mutual TLS. Without a name to expect nobody is accepted: any certificate of the mesh would do otherwise."""
    expected = [{"san_type": "URI", "matcher": {"exact": name}} for name in sorted(set(sans))]
    if hbone:  # the connection's filter state names the peers; this says only what they have in common
        expected = [{"san_type": "URI", "matcher": {"prefix": "spiffe://"}}]
    checks = {"match_typed_subject_alt_names": expected or [{"san_type": "URI", "matcher": {"exact": "-"}}]}
    least = "TLSv1_3" if hbone else "TLSv1_2"
    common: Doc = {
        "tls_params": {"tls_minimum_protocol_version": least, "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": list(alpn),
        "tls_certificate_sds_secret_configs": [sds(WORKLOAD)],
        "combined_validation_context": _combined(names.ROOT_SECRET, checks),
    }
    return _upstream(common, sni)


def client(ctx: Context, wanted: ClientTls, hostname: str, sans: tuple[str, ...], source: str) -> Doc:
    """TLS origination (simple, mutual) as a destination rule or a backend policy says."""
    common: Doc = {"tls_params": _params("1.2", "1.3", ctx.settings.other_ciphers, ctx.settings.other_curves)}
    shown = wanted.client_credential or (wanted.credential if wanted.mode == "mutual" else "")
    if shown:
        common["tls_certificate_sds_secret_configs"] = [sds(secret(shown))]
    elif wanted.mode == "mutual" or wanted.certificate:
        common["tls_certificates"] = [
            {"certificate_chain": {"filename": wanted.certificate}, "private_key": {"filename": wanted.key}}
        ]
    checks: Doc = {}
    expected = wanted.subject_alt_names or sans
    if expected:
        checks["match_typed_subject_alt_names"] = [_san(name) for name in expected]
    if wanted.crl:
        checks["crl"] = {"filename": wanted.crl}
    if wanted.insecure:
        common["validation_context"] = {"trust_chain_verification": "ACCEPT_UNTRUSTED"}
    elif wanted.inline_roots:
        common["validation_context"] = {**checks, "trusted_ca": {"inline_string": wanted.inline_roots}}
    elif wanted.roots and wanted.roots != "system":
        common["validation_context"] = {**checks, "trusted_ca": {"filename": wanted.roots}}
    elif wanted.credential and not wanted.system_roots:
        common["combined_validation_context"] = _combined(roots(wanted.credential), checks)
    else:
        common["validation_context"] = {**checks, "trusted_ca": {"filename": ctx.options.system_roots}}
    return _upstream(common, wanted.sni or ("" if _pattern(hostname) else hostname))


def _pattern(hostname: str) -> bool:
    return "*" in hostname


def _upstream(common: Doc, sni: str) -> Doc:
    document: Doc = any_of("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", common_tls_context=common)
    if sni:
        document["sni"] = sni
    return {"name": "envoy.transport_sockets.tls", "typed_config": document}


def _combined(name: str, checks: Doc) -> Doc:
    return {"default_validation_context": checks, "validation_context_sds_secret_config": sds(name)}


def _san(name: str) -> Doc:
    """A name as written: URIs by their scheme, `*` at one end as a pattern."""
    kind = "URI" if "://" in name else "EMAIL" if "@" in name else "IP_ADDRESS" if _address(name) else "DNS"
    if name.startswith("*."):
        return {"san_type": kind, "matcher": {"safe_regex": {"regex": f"[^.]+{re.escape(name[1:])}"}}}
    if name == "*":
        return {"san_type": kind, "matcher": {"safe_regex": {"regex": ".*"}}}
    if name.endswith("*"):
        return {"san_type": kind, "matcher": {"prefix": name[:-1]}}
    return {"san_type": kind, "matcher": {"exact": name}}


def _address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
