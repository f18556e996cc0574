"""The mesh configuration is protojson with Istio's defaults."""

from __future__ import annotations

from plait.resources.mesh_config.mesh import MeshConfig, read


def test_both_spellings_are_read_and_defaults_stay() -> None:
    text = (
        "trust_domain: td1\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"
        "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}\n"
        "extensionProviders:\n- name: authz\n  envoyExtAuthzGrpc: {service: a.b.svc.cluster.local, port: 9000}\n"
    )
    found, problems = read(text)
    assert problems == ()
    assert (found.trust_domain, found.outbound_traffic_policy.mode) == ("td1", "REGISTRY_ONLY")
    assert found.default_config.proxy_metadata == {"ISTIO_META_DNS_CAPTURE": "true"}
    provider = found.provider("authz")
    assert provider is not None and provider.envoy_ext_authz_grpc is not None
    assert found.root_namespace == "istio-system"


def test_what_is_wrong_is_told_and_the_rest_counts() -> None:
    found, problems = read("trustDomain: td1\nacessLogFile: /dev/stdout\n")
    assert found.trust_domain == "td1"
    assert [(p.path, "accessLogFile" in p.message) for p in problems] == [("acessLogFile", True)]


def test_nothing_is_the_default() -> None:
    assert read("") == (MeshConfig(), ())
