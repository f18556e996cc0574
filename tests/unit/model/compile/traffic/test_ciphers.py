"""Cipher suites and curves are those of the pinned Envoy, which refuses a whole listener for one it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.envoys import validate
from kit.pki import Authority
from plait.model.compile.traffic.ciphers import CURVES, SUITES, curves, suites
from plait.model.compile.traffic.report import Report

GOOD, RANKED = "ECDHE-RSA-AES256-SHA", "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]"
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def test_an_unknown_name_is_left_out_and_told_with_its_place() -> None:
    report = Report("Gateway", "shop", "edge")
    assert suites([GOOD, "ROT13", RANKED, GOOD], "spec.tls.cipherSuites", report) == (GOOD, RANKED)
    assert curves(["X25519", "P-224"], "curves", report) == ("X25519",)
    assert [(each.code, each.path) for each in report.problems] == [
        ("PLT0401", "spec.tls.cipherSuites[1]"),
        ("PLT0401", "curves[1]"),
    ]


@pytest.mark.envoy
def test_envoy_knows_what_is_let_through(tmp_path: Path) -> None:
    leaf = Authority().issue("spiffe://cluster.local/ns/shop/sa/edge")
    shown = {
        "certificate_chain": {"inline_string": leaf.certificate.decode()},
        "private_key": {"inline_string": leaf.key.decode()},
    }
    params = {"cipher_suites": [*sorted(SUITES), RANKED], "ecdh_curves": sorted(CURVES)}
    context = {"@type": TLS, "common_tls_context": {"tls_params": params, "tls_certificates": [shown]}}
    chain = {
        "transport_socket": {"name": "tls", "typed_config": context},
        "filters": [{"name": "tcp", "typed_config": {"@type": PROXY, "stat_prefix": "a", "cluster": "a"}}],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 9999}}
    listener = {"name": "a", "address": address, "filter_chains": [chain]}
    clusters = [{"name": "a", "connect_timeout": "1s"}]
    validate({"static_resources": {"listeners": [listener], "clusters": clusters}}, tmp_path)
