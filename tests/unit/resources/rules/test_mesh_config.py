"""Rules of the mesh configuration: what is refused is told at its field, and what stands close to it is taken."""

from __future__ import annotations

import pytest

from plait.resources.mesh_config.mesh import overlaid, read
from plait.resources.mesh_config.proxy import ProxyConfig

BROKEN = "'%NOPE%'"


def provider(rest: str) -> str:
    return f"extensionProviders: [{{name: a, {rest}}}]"


def localities(rest: str) -> str:
    return f"localityLbSetting: {{{rest}}}"


MESH = [  # text, where it is told ("": it is right)
    ("proxyListenPort: 0", "proxyListenPort"),
    ("connectTimeout: 31s", ""),
    ("connectTimeout: -1s", "connectTimeout"),
    ("connectTimeout: 999999999s", "connectTimeout"),
    ("protocolDetectionTimeout: 0s", ""),
    ("protocolDetectionTimeout: 99999ns", "protocolDetectionTimeout"),
    ("trustDomain: foo.bar.com.", ""),
    ("trustDomain: ''", "trustDomain"),
    ("trustDomain: 'foo:bar'", "trustDomain"),
    ("trustDomainAliases: [a.b, 'a.$b']", "trustDomainAliases[1]"),
    ("serviceSettings: [{hosts: ['*.foo.bar', bar.baz.svc.cluster.local]}]", ""),
    ("serviceSettings: [{hosts: ['foo.bar.*']}]", "serviceSettings[0].hosts[0]"),
    ("tlsDefaults: {ecdhCurves: [P-256]}", ""),
    ("zoneAwareLbSetting: {}", ""),
    ("zoneAwareLbSetting: {}\nlocalityLbSetting: {}", "zoneAwareLbSetting"),
    (localities("distribute: [{from: a/b/c, to: {a/b/c: 80, a/b1: 15}}]"), "localityLbSetting.distribute[0].to"),
    (localities("failover: [{from: '*', to: r2}]"), "localityLbSetting.failover[0].from"),
    (localities("failover: [{from: r1, to: r2}], failoverPriority: [version]"), ""),
    (
        localities("failover: [{from: r1, to: r2}], failoverPriority: [topology.kubernetes.io/zone]"),
        "localityLbSetting.failoverPriority",
    ),
    ("accessLogFormat: '%PROTOCOL% 100%%'", ""),
    (f"accessLogFormat: {BROKEN}", "accessLogFormat"),
    ("accessLogFormat: 'a 5% b'", "accessLogFormat"),
    ('accessLogEncoding: JSON\naccessLogFormat: \'{"a": "%PROTOCOL%", "b": {"c": 1}}\'', ""),
    ('accessLogEncoding: JSON\naccessLogFormat: \'{"a": {"b": ["%NOPE%"]}}\'', "accessLogFormat[a][b][0]"),
    ("accessLogEncoding: JSON\naccessLogFormat: '%PROTOCOL%'", "accessLogFormat"),
    (provider("prometheus: {}"), ""),
    (provider(""), "extensionProviders[0]"),
    (provider("prometheus: {}, zipkin: {service: z.a, port: 1}"), "extensionProviders[0]"),
    ("extensionProviders: [{name: '', prometheus: {}}]", "extensionProviders[0].name"),
    ("extensionProviders: [{name: a, prometheus: {}}, {name: a, prometheus: {}}]", "extensionProviders[1]"),
    (provider("zipkin: {service: zipkin.istio-system, port: 9411}"), ""),
    (provider("zipkin: {service: '2001:1::1', port: 9411}"), ""),
    (provider("zipkin: {service: space/zipkin.istio-system, port: 9411}"), ""),
    (provider("zipkin: {service: space/zipkin, port: 9411}"), "extensionProviders[0].zipkin.service"),
    (provider("zipkin: {service: name/space/zipkin.a, port: 9411}"), "extensionProviders[0].zipkin.service"),
    (provider("zipkin: {service: 'zipkin.a:9411', port: 9411}"), "extensionProviders[0].zipkin.service"),
    (provider("datadog: {service: agent.com}"), "extensionProviders[0].datadog.port"),
    (provider("lightstep: {service: a.b, port: 1}"), "extensionProviders[0].lightstep.accessToken"),
    (
        provider("opentelemetry: {service: a.b, port: 1, http: {path: /a}, grpc: {}}"),
        "extensionProviders[0].opentelemetry",
    ),
    (provider("envoyExtAuthzHttp: {service: a.b, port: 1, statusOnError: '503', pathPrefix: /a}"), ""),
    (
        provider("envoyExtAuthzHttp: {service: a.b, port: 1, statusOnError: '999'}"),
        "extensionProviders[0].envoyExtAuthzHttp.statusOnError",
    ),
    (
        provider("envoyExtAuthzGrpc: {service: a.b, port: 1, statusOnError: none}"),
        "extensionProviders[0].envoyExtAuthzGrpc.statusOnError",
    ),
    (
        provider("envoyExtAuthzHttp: {service: a.b, port: 1, pathPrefix: a}"),
        "extensionProviders[0].envoyExtAuthzHttp.pathPrefix",
    ),
    (
        provider(f"envoyFileAccessLog: {{logFormat: {{text: {BROKEN}}}}}"),
        "extensionProviders[0].envoyFileAccessLog.logFormat.text",
    ),
    (
        provider(f"envoyOtelAls: {{service: a.b, port: 1, logFormat: {{labels: {{x: {BROKEN}}}}}}}"),
        "extensionProviders[0].envoyOtelAls.logFormat.labels[x]",
    ),
    ("defaultConfig: {discoveryAddress: 10.0.0.100}", "defaultConfig.discoveryAddress"),
]

PROXY = [
    ("discoveryAddress: 'istio-pilot.istio-system:15010'", ""),
    ("discoveryAddress: '[2001:db8::100]:80'", ""),
    ("discoveryAddress: '2001:db8::100:80'", "discoveryAddress"),
    ("discoveryAddress: 'istio-pilot:100000'", "discoveryAddress"),
    ("discoveryAddress: 'isti..:80'", "discoveryAddress"),
    ("statsdUdpAddress: 10.0.0.100", "statsdUdpAddress"),
    ("envoyMetricsService: {address: metrics.istio-system}", "envoyMetricsService.address"),
    ("envoyAccessLogService: {address: 'logs.istio-system:15000'}", ""),
    ("proxyAdminPort: 65536", "proxyAdminPort"),
    ("statusPort: 0", "statusPort"),
    ("drainDuration: 1001ms", "drainDuration"),
    ("drainDuration: 1s", ""),
    ("serviceCluster: ''", "serviceCluster"),
    ("tracing: {zipkin: {address: '$(HOST_IP):9411'}}", ""),
    ("tracing: {zipkin: {address: 10.0.0.100}}", "tracing.zipkin.address"),
    ("tracing: {datadog: {}}", "tracing.datadog.address"),
    ("tracing: {lightstep: {address: 'collector.lightstep:8080', accessToken: abc}}", ""),
    ("tracing: {lightstep: {address: 'collector.lightstep:8080'}}", "tracing.lightstep.accessToken"),
    ("tracing: {tlsSettings: {mode: MUTUAL, clientCertificate: /a}}", "tracing.tlsSettings.privateKey"),
    ("privateKeyProvider: {}", "privateKeyProvider"),
    ("privateKeyProvider: {cryptomb: {}}", "privateKeyProvider.cryptomb.pollDelay"),
    ("privateKeyProvider: {qat: {pollDelay: 0s}}", "privateKeyProvider.qat.pollDelay"),
    ("privateKeyProvider: {qat: {pollDelay: 10ms}}", ""),
]


@pytest.mark.parametrize(("text", "path"), MESH)
def test_mesh(text: str, path: str) -> None:
    assert [each.path for each in read(text)[1]] == ([path] if path else [])


@pytest.mark.parametrize(("text", "path"), PROXY)
def test_settings_of_proxies_also_in_an_annotation(text: str, path: str) -> None:
    assert [each.path for each in overlaid(ProxyConfig(), text, "shop/web")[1]] == ([path] if path else [])
