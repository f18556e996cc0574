"""Mutual TLS of HBONE: whose certificate is shown, which peers are accepted. TLS 1.3 only, no session resumption."""

from __future__ import annotations

import re

from plait.envoy import names
from plait.envoy.pieces import ADS, Doc, any_of, extension

# Envoy's upstream default stops at TLS 1.2, so both ends of the range are written.
_TLS13: Doc = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
_ON_DEMAND = "envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config"
_MAPPERS = "envoy.extensions.transport_sockets.tls.cert_mappers"


def _certificate(mapper: Doc) -> Doc:
    return extension(
        "envoy.tls.certificate_selectors.on_demand_secret", _ON_DEMAND, config_source=ADS, certificate_mapper=mapper
    )


def _validation(san: Doc) -> Doc:
    """Chain to the mesh roots AND this SAN: without a SAN every certificate of the mesh's CA would do."""
    return {
        "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": san}]},
        "validation_context_sds_secret_config": {"name": names.ROOT_SECRET, "sds_config": ADS},
    }


def downstream(identity: str, trust_domain: str) -> Doc:
    """A pod's side of inbound HBONE: its own certificate; peers must be workloads of the trust domain."""
    workload = f"spiffe://{re.escape(trust_domain)}/ns/[^/]+/sa/[^/]+"
    mapper = extension(
        "envoy.tls.certificate_mappers.static_name", f"{_MAPPERS}.static_name.v3.StaticName", name=identity
    )
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": any_of(
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            require_client_certificate=True,
            # On-demand certificates and session resumption exclude each other in Envoy 1.40.
            disable_stateless_session_resumption=True,
            disable_stateful_session_resumption=True,
            common_tls_context={
                "combined_validation_context": _validation({"safe_regex": {"regex": workload}}),
                "alpn_protocols": ["h2"],
                "tls_params": _TLS13,
                "custom_tls_certificate_selector": _certificate(mapper),
            },
        ),
    }


def upstream() -> Doc:
    """Our side of outbound HBONE: the certificate that the connection's filter state names, and the SANs it names.

    Envoy demands both the static SAN and the connection's. The internal listener always sets the latter (to "-" where
    it knows none, which no certificate carries), so the static one only says what all have in common.
    """
    mapper = extension(
        "envoy.tls.upstream_certificate_mappers.filter_state_override",
        f"{_MAPPERS}.filter_state_override.v3.Config",
        default_value=names.NO_SECRET,
    )
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": any_of(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            max_session_keys=0,
            common_tls_context={
                "combined_validation_context": _validation({"prefix": "spiffe://"}),
                "alpn_protocols": ["h2"],
                "tls_params": _TLS13,
                "custom_tls_certificate_selector": _certificate(mapper),
            },
        ),
    }
