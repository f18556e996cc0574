# ruff: noqa: E501 (rows of a table of cases)
"""Rules of each kind: what is refused is told at its field, and what stands close to it is taken."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from plait.resources.validate import validate

VERSIONS = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "WasmPlugin": "extensions.istio.io/v1alpha1",
    "EnvoyFilter": "networking.istio.io/v1alpha3",
}


def refused(kind: str, spec: str) -> list[str]:
    version = VERSIONS.get(kind, "networking.istio.io/v1")
    document: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": "shop"}}
    found = validate({**document, "spec": yaml.safe_load(spec)})
    return [problem.path for problem in found if problem.severity == "error"]


def routed(rule: str, **more: str) -> str:
    other = "".join(f", {key}: {value}" for key, value in more.items())
    return f"{{hosts: [cart.shop]{other}, http: [{{route: [{{destination: {{host: cart}}}}], {rule}}}]}}"


def policy(inner: str) -> str:
    return f"{{host: cart, trafficPolicy: {{{inner}}}}}"


def server(inner: str, number: int = 443, protocol: str = "HTTPS") -> str:
    return f"{{servers: [{{hosts: [cart.shop], port: {{number: {number}, name: a, protocol: {protocol}}}, {inner}}}]}}"


WRONG = [
    ("VirtualService", routed("name: a", exportTo="['.', shop]"), "spec.exportTo[1]"),
    ("VirtualService", routed("name: a", exportTo="['*', shop]"), "spec.exportTo"),
    ("VirtualService", routed("name: a", gateways="[a/b/c]"), "spec.gateways[0]"),
    ("VirtualService", "{hosts: [a.b, cart.shop, '*.shop'], http: [{redirect: {uri: /a}}]}", "spec.hosts[2]"),
    ("VirtualService", "{hosts: [cart.shop], http: [{redirect: {}}]}", "spec.http[0].redirect"),
    ("VirtualService", "{hosts: [cart.shop], http: [{redirect: {scheme: ws}}]}", "spec.http[0].redirect.scheme"),
    ("VirtualService", routed("rewrite: {}"), "spec.http[0].rewrite"),
    ("VirtualService", routed("retries: {attempts: 1, retryOn: never}"), "spec.http[0].retries.retryOn"),
    ("VirtualService", routed("corsPolicy: {allowMethods: [FETCH]}"), "spec.http[0].corsPolicy.allowMethods[0]"),
    ("VirtualService", routed("corsPolicy: {maxAge: 1500ms}"), "spec.http[0].corsPolicy.maxAge"),
    ("VirtualService", routed("fault: {abort: {grpcStatus: SLEEPY}}"), "spec.http[0].fault.abort.grpcStatus"),
    ("VirtualService", routed("headers: {request: {set: {x-a: 50%}}}"), "spec.http[0].headers.request.set[x-a]"),
    (
        "VirtualService",
        routed("headers: {request: {set: {x-a: 50% or 20%}}}"),
        "spec.http[0].headers.request.set[x-a]",
    ),
    ("VirtualService", routed("headers: {response: {remove: [':status']}}"), "spec.http[0].headers.response.remove[0]"),
    ("VirtualService", routed("match: [{headers: {'@request.auth.claims.a': {exact: b}}}]"), "spec.http[0].match[0].headers[@request.auth.claims.a]"),
    ("VirtualService", routed("match: [{headers: {x-a: {regex: '*'}}}]"), "spec.http[0].match[0].headers[x-a].regex"),
    ("VirtualService", routed("match: [{headers: {x-a: {prefix: ''}}}]"), "spec.http[0].match[0].headers[x-a].prefix"),
    ("VirtualService", routed("match: [{sourceLabels: {app: 'a b'}}]"), "spec.http[0].match[0].sourceLabels[app]"),
    ("VirtualService", "{hosts: [cart.shop], http: [{delegate: {name: d}, match: [{uri: {regex: /a.*}}]}]}", "spec.http[0].match[0].uri.regex"),
    ("VirtualService", "{hosts: [cart.shop], tls: [{match: [{sniHosts: [db.shop]}], route: [{destination: {host: cart}}]}]}", "spec.tls[0].match[0].sniHosts[0]"),
    ("DestinationRule", policy(""), "spec.trafficPolicy"),
    ("DestinationRule", policy("connectionPool: {}"), "spec.trafficPolicy.connectionPool"),
    ("DestinationRule", policy("connectionPool: {tcp: {idleTimeout: 10us}}"), "spec.trafficPolicy.connectionPool.tcp.idleTimeout"),
    ("DestinationRule", policy("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 12}}}"), "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"),
    ("DestinationRule", policy("loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {a: 50, a/b: 50}}]}}"), "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to"),
    ("DestinationRule", policy("loadBalancer: {localityLbSetting: {failover: [{from: a/b, to: c}]}}"), "spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0].from"),
    ("DestinationRule", policy("tls: {mode: SIMPLE, credentialName: a, caCertificates: /b}"), "spec.trafficPolicy.tls.caCertificates"),
    ("DestinationRule", policy("tls: {mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]}"), "spec.trafficPolicy.tls.subjectAltNames"),
    ("DestinationRule", policy("tunnel: {targetHost: '*.a', targetPort: 80}"), "spec.trafficPolicy.tunnel.targetHost"),
    ("DestinationRule", "{host: cart, workloadSelector: {matchLabels: {a: b}}, exportTo: [other]}", "spec.exportTo"),
    ("Gateway", server("tls: {mode: ISTIO_MUTUAL, caCertificates: /a}"), "spec.servers[0].tls"),
    ("Gateway", server("tls: {mode: SIMPLE, credentialName: a}", 5432, "TCP"), "spec.servers[0].tls"),
    ("Gateway", server("tls: {mode: SIMPLE, credentialName: a, caCrl: /b}"), "spec.servers[0].tls.caCrl"),
    ("Telemetry", "{tracing: [{customTags: {a: {formatter: {value: '%NOPE%'}}}}]}", "spec.tracing[0].customTags[a].formatter.value"),
    ("Telemetry", "{accessLogging: [{filter: {expression: response.code >=}}]}", "spec.accessLogging[0].filter.expression"),
    ("Telemetry", "{accessLogging: [{filter: {expression: reply.code >= 400}}]}", "spec.accessLogging[0].filter.expression"),
    ("Telemetry", "{metrics: [{overrides: [{tagOverrides: {a: {value: node.id}}}]}]}", "spec.metrics[0].overrides[0].tagOverrides[a].value"),
    ("VirtualService", routed("headers: {request: {set: {x-a: '%NOPE%'}}}"), "spec.http[0].headers.request.set[x-a]"),
    ("ServiceEntry", "{hosts: [a.b], exportTo: ['~', shop], resolution: DNS}", "spec.exportTo"),
    ("ServiceEntry", "{hosts: [a.b, c.d], addresses: [10.1.1.1], resolution: DNS, ports: [{number: 1, name: a, protocol: TCP}]}", "spec.ports[0]"),
    ("ServiceEntry", "{hosts: [a.b], resolution: DNS, endpoints: [{address: '*.c'}]}", "spec.endpoints[0].address"),
    ("WorkloadEntry", "{address: unix:///run/}", "spec.address"),
    ("WorkloadGroup", "{template: {}, probe: {periodSeconds: 1}}", "spec.probe"),
    ("Sidecar", "{}", "spec"),
    ("Sidecar", "{egress: [{hosts: [./*]}, {hosts: [./*], port: {number: 80, name: a}}]}", "spec.egress[0]"),
    ("Sidecar", "{egress: [{hosts: ['~/cart']}]}", "spec.egress[0].hosts[0]"),
    ("Sidecar", "{ingress: [{port: {number: 80}, defaultEndpoint: '10.0.0.1:80'}]}", "spec.ingress[0].defaultEndpoint"),
    ("Sidecar", "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.b}}}", "spec.outboundTrafficPolicy.egressProxy.port"),
    ("AuthorizationPolicy", "{action: CUSTOM, provider: {name: a}, rules: [{from: [{source: {notNamespaces: [a]}}]}]}", "spec.rules[0].from[0].source.notNamespaces"),
    ("AuthorizationPolicy", "{action: CUSTOM, provider: {name: a}, rules: [{from: [{source: {serviceAccounts: [a]}}]}]}", "spec.rules[0].from[0].source.serviceAccounts"),
    ("AuthorizationPolicy", "{action: CUSTOM, provider: {name: a}, rules: [{when: [{key: source.serviceAccount, values: [a]}]}]}", "spec.rules[0].when[0].key"),
    ("AuthorizationPolicy", "{rules: [{from: [{source: {notServiceAccounts: [a, b/]}}]}]}", "spec.rules[0].from[0].source.notServiceAccounts[1]"),
    ("AuthorizationPolicy", "{rules: [{from: [{source: {serviceAccounts: ['a*']}}]}]}", "spec.rules[0].from[0].source.serviceAccounts[0]"),
    ("AuthorizationPolicy", "{rules: [{when: [{key: source.serviceAccount, notValues: [a/b/c]}]}]}", "spec.rules[0].when[0].notValues[0]"),
    ("AuthorizationPolicy", "{rules: [{when: [{key: 'request.headers[x]', values: ['']}]}]}", "spec.rules[0].when[0].values"),
    ("AuthorizationPolicy", "{rules: [{when: [{key: experimental.envoy.filters.http.x, values: [a]}]}]}", "spec.rules[0].when[0].key"),
    ("AuthorizationPolicy", "{rules: [{to: [{operation: {paths: ['/{**}/{*}']}}]}]}", "spec.rules[0].to[0].operation.paths[0]"),
    ("AuthorizationPolicy", "{selector: {matchLabels: {app: 'c*'}}}", "spec.selector.matchLabels[app]"),
    ("AuthorizationPolicy", "{targetRefs: [{kind: Deployment, group: apps, name: a}]}", "spec.targetRefs[0].kind"),
    ("RequestAuthentication", "{jwtRules: [{issuer: a, jwksUri: 'https://a:b/keys'}]}", "spec.jwtRules[0].jwksUri"),
    ("RequestAuthentication", "{jwtRules: [{audiences: [a]}]}", "spec.jwtRules[0].issuer"),
    ("Telemetry", "{metrics: [{overrides: [{tagOverrides: {a: {}}}]}]}", "spec.metrics[0].overrides[0].tagOverrides[a].value"),
    ("WasmPlugin", "{url: 'ftp://a/b.wasm'}", "spec.url"),
    ("EnvoyFilter", "{configPatches: [{applyTo: CLUSTER, patch: {operation: REMOVE}, match: {listener: {}}}]}", "spec.configPatches[0].match.listener"),
    ("EnvoyFilter", "{configPatches: [{applyTo: HTTP_FILTER, patch: {operation: REMOVE}, match: {context: WAYPOINT, listener: {}}}]}", "spec.configPatches[0].match.listener"),
]  # fmt: skip
RIGHT = [
    ("VirtualService", "{hosts: ['2001:db8::7', '*.shop'], http: [{redirect: {derivePort: FROM_REQUEST_PORT}}]}"),
    ("VirtualService", routed("retries: {attempts: 1, retryOn: '503, reset'}")),
    ("VirtualService", routed("match: [{withoutHeaders: {x-a: {regex: '*'}}, uri: {prefix: ''}}]")),
    ("VirtualService", routed("headers: {request: {set: {x-a: '%START_TIME(%s)% 5%%', Host: a.b}}}")),
    ("VirtualService", routed("fault: {abort: {percentage: {value: 1}}}")),
    ("DestinationRule", policy("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}")),
    ("DestinationRule", policy("loadBalancer: {localityLbSetting: {distribute: [{from: '*', to: {a/b: 50, a/c/*: 50}}]}}")),
    ("DestinationRule", policy("tunnel: {targetHost: 10.0.0.1, targetPort: 80}")),
    ("Gateway", server("tls: {httpsRedirect: true}", 80, "HTTP")),
    ("ServiceEntry", "{hosts: [a.b], resolution: STATIC, exportTo: ['~']}"),
    ("WorkloadGroup", "{template: {}, probe: {grpc: {port: 80}}}"),
    ("Sidecar", "{egress: [{hosts: ['~/*']}]}"),
    ("Sidecar", "{ingress: [{port: {number: 80}, defaultEndpoint: ':8080'}]}"),
    ("AuthorizationPolicy", "{targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: a}]}"),
    ("AuthorizationPolicy", "{rules: [{from: [{source: {serviceAccounts: [a, b/c]}}], when: [{key: source.serviceAccount, values: [d]}]}]}"),
    ("AuthorizationPolicy", "{rules: [{when: [{key: 'experimental.envoy.filters.http.x[a]', values: [b]}]}]}"),
    ("RequestAuthentication", "{jwtRules: [{issuer: a, jwksUri: 'https://a:8443/keys'}, {jwksUri: 'https://b/keys'}]}"),
    ("Telemetry", "{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE}}}]}]}"),
    ("WasmPlugin", "{url: registry.example/a:v1}"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "path"), WRONG)
def test_what_is_wrong_is_told_at_its_field(kind: str, spec: str, path: str) -> None:
    assert refused(kind, spec) == [path]


@pytest.mark.parametrize(("kind", "spec"), RIGHT)
def test_what_is_right_is_taken(kind: str, spec: str) -> None:
    assert refused(kind, spec) == []
