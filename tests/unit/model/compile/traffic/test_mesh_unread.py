"""Fields of the mesh configuration without effect are told where they are set, and only there."""

from __future__ import annotations

import pytest

from plait.model.compile.traffic import mesh_unread
from plait.model.compile.traffic.report import Report
from plait.model.mesh import Settings
from plait.resources.mesh_config.mesh import read


def told(text: str, trust_domain: str = "cluster.local") -> list[tuple[str, str]]:
    report = Report("MeshConfig", "istio-system", "istio")
    config, wrong = read(text)
    assert wrong == ()
    mesh_unread.told(config, Settings(trust_domain), report)
    return [(each.code, each.path) for each in report.problems]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("proxyListenPort: 15002", "proxyListenPort"),
        ("defaultConfig: {tracing: {zipkin: {address: 'zipkin:9411'}}}", "defaultConfig.tracing.zipkin"),
        ("defaultConfig: {connectionSettings: {httpIdleTimeout: 3s}}", "defaultConfig.connectionSettings"),
        (
            "extensionProviders: [{name: a, zipkin: {service: z, port: 1}}, {name: b, opentelemetry: "
            "{service: z, port: 1, dynatraceSampler: {tenant: a, clusterId: 1}}}]",
            "extensionProviders[1].opentelemetry.dynatraceSampler",
        ),
        ("trustDomain: other.domain", "trustDomain"),
    ],
)
def test_a_field_that_no_proxy_is_told_of_is_named(text: str, path: str) -> None:
    assert told(text) == [("PLT0400", path)]


def test_what_is_so_anyway_is_no_problem() -> None:
    """As Istio's own installation writes it."""
    text = (
        "trustDomain: td1\nrootNamespace: istio-system\nenablePrometheusMerge: true\nproxyListenPort: 15001\n"
        "defaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012'}\n"
        "defaultProviders: {metrics: [prometheus]}\n"
    )
    assert told(text, "td1") == []
