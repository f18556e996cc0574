"""What L7 proxies tell: Istio's metrics where a Prometheus finds them, spans that are children, and who denied."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

from kit import otlp
from kit.mesh import Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.envoy,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="enters namespaces of the host: needs root"),
]
CONFIG = """
accessLogFile: /dev/stdout
enableTracing: true
extensionProviders:
- name: otlp
  opentelemetry: {service: collector.obs.svc.cluster.local, port: 4318, http: {path: /v1/traces}}
- name: zipkin
  zipkin: {service: collector.obs.svc.cluster.local, port: 4318}
"""
COLLECTOR = r"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body, length = b"", self.headers["content-length"]
        while size := int(self.rfile.readline(), 16) if length is None else 0:  # in chunks
            body += self.rfile.read(size + 2)[:-2]
        body += self.rfile.readline()[:0] if length is None else self.rfile.read(int(length))
        print(self.path, body.hex(), flush=True)
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 4318), Handler).serve_forever()
"""
WORLD = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: {json.dumps(CONFIG)}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: obs}}
---
apiVersion: v1
kind: Service
metadata: {{name: collector, namespace: obs}}
spec: {{selector: {{app: collector}}, ports: [{{name: http, port: 4318}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: collector, namespace: obs, labels: {{app: collector}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: c, image: python, command: [/usr/bin/python3, -uc, {json.dumps(COLLECTOR)}]}}]
---
apiVersion: v1
kind: Namespace
metadata: {{name: shop, labels: {{istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: waypoint, namespace: shop}}
spec: {{gatewayClassName: istio-waypoint, listeners: [{{name: mesh, port: 15008, protocol: HBONE}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec: {{gatewayClassName: istio, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: edge, namespace: shop}}
spec:
  parentRefs: [{{name: edge}}]
  rules: [{{backendRefs: [{{name: web, port: 80}}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: front, namespace: shop}}
spec:
  parentRefs: [{{group: "", kind: Service, name: web}}]
  rules:
  - name: everything
    backendRefs: [{{name: web, port: 80}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: no-secrets, namespace: shop}}
spec:
  targetRefs: [{{group: "", kind: Service, name: web}}]
  action: DENY
  rules: [{{to: [{{operation: {{paths: [/secret]}}}}]}}]
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: spans, namespace: shop}}
spec: {{tracing: [{{providers: [{{name: otlp}}], randomSamplingPercentage: 100}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: shop, labels: {{app: web, version: v7}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: c, image: plait/witness}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: ann, namespace: shop}}
---
apiVersion: v1
kind: Pod
metadata: {{name: client, namespace: shop, labels: {{app: shopper, version: v3}}}}
spec:
  serviceAccountName: ann
  terminationGracePeriodSeconds: 0
  containers: [{{name: c, image: busybox, command: [sleep, "1000"]}}]
"""
ASK = """
import json, sys, urllib.error, urllib.request
headers = dict(each.split("=", 1) for each in sys.argv[2:])
try:
    with urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=headers), timeout=5) as answer:
        print(json.dumps([answer.status, json.loads(answer.read())]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, {}]))
except OSError as error:
    print(json.dumps([0, {}]))
"""
GET = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
"""
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class World:
    def __init__(self, mine: Mesh) -> None:
        self.mesh = mine
        self.web = str(mine.get(kinds.SERVICE, "web", "shop")["spec"]["clusterIP"])
        self.edge = str(mine.get(kinds.SERVICE, "edge-istio", "shop")["spec"]["clusterIP"])

    def ask(self, address: str, path: str, *headers: str) -> tuple[int, dict[str, list[str]]]:
        """Status, and every header that reached the application."""
        url = f"http://{address}{path}"
        status, body = json.loads(self.mesh.inside("client", ASK, url, *headers, namespace="shop"))
        found: dict[str, list[str]] = {}
        for name, value in body.get("headers", ()):
            found.setdefault(name, []).append(value)
        return status, found

    def proxy(self, gateway: str) -> str:
        """The pod of a Gateway."""
        labels = f"gateway.networking.k8s.io/gateway-name={gateway}"
        (pod,), _ = self.mesh.ask(lambda api: api.list(kinds.POD, "shop", labels=labels))
        return str(pod["metadata"]["name"])

    def page(self, gateway: str) -> str:
        """As a Prometheus scrapes it: where the pod's annotations say."""
        pod = self.mesh.get(kinds.POD, self.proxy(gateway), "shop")
        notes, address = pod["metadata"]["annotations"], pod["status"]["podIP"]
        assert notes["prometheus.io/scrape"] == "true"
        url = f"http://{address}:{notes['prometheus.io/port']}{notes['prometheus.io/path']}"
        return self.mesh.inside("collector", GET, url, namespace="obs")

    def series(self, gateway: str, metric: str, **labels: str) -> list[dict[str, str]]:
        lines = re.findall(rf"^{metric}{{(.*)}} \S+$", self.page(gateway), re.MULTILINE)
        found = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in lines]
        return [each for each in found if labels.items() <= each.items()]

    def received(self, path: str) -> list[bytes]:
        lines = self.mesh.plait("logs", "-n", "obs", "collector").stdout.splitlines()
        return [bytes.fromhex(line.split()[1]) for line in lines if line.startswith(path)]

    def spans(self, trace: str) -> list[otlp.Span]:
        found = [span for body in self.received("/v1/traces") for span in otlp.spans(body)]
        return [span for span in found if span.trace == trace]

    def log(self, gateway: str) -> str:
        return self.mesh.plait("logs", "-n", "shop", self.proxy(gateway)).stdout


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with mesh(f"l7tel{os.getpid()}") as mine:
        mine.up("--nodes", "2")
        mine.apply(WORLD)
        mine.ready("shop", "web", "client")
        mine.ready("obs", "collector")
        mine.programmed("shop", "waypoint")
        mine.programmed("shop", "edge")
        mine.captured("shop", "web", "client")
        found = World(mine)
        until(lambda: found.ask(found.web, "/secret")[0] == 403, "the waypoint judges")
        until(lambda: found.ask(found.edge, "/")[0] == 200, "the gateway answers")
        yield found


def test_requests_are_counted_with_istios_labels_from_waypoint_and_gateway(shared: World) -> None:
    assert shared.ask(shared.web, "/counted")[0] == 200
    told = {
        "destination_service": "web.shop.svc.cluster.local",
        "destination_service_name": "web",
        "destination_service_namespace": "shop",
        "destination_workload": "web",
        "destination_version": "v7",
        "destination_principal": "spiffe://cluster.local/ns/shop/sa/default",
        "source_principal": "spiffe://cluster.local/ns/shop/sa/ann",
        "source_workload": "client",
        "source_workload_namespace": "shop",
        "source_app": "shopper",
        "source_version": "v3",
        "request_protocol": "http",
        "response_code": "200",
        "connection_security_policy": "mutual_tls",
        "reporter": "waypoint",
    }
    metrics = ("requests_total", "request_duration_milliseconds_count", "request_bytes_sum", "response_bytes_sum")
    for metric in metrics:
        until(lambda: shared.series("waypoint", f"istio_{metric}", **told), f"istio_{metric} of the waypoint", 20)  # noqa: B023
    assert shared.ask(shared.edge, "/counted")[0] == 200
    told = {"reporter": "source", "source_workload": "edge-istio", "destination_service_name": "web"}
    until(lambda: shared.series("edge", "istio_requests_total", **told, response_code="200"), "of the gateway", 20)


def test_a_denied_request_has_its_service_and_an_unknown_workload(shared: World) -> None:
    assert shared.ask(shared.web, "/secret")[0] == 403
    told = {
        "response_code": "403",
        "reporter": "waypoint",
        "source_workload": "client",
        "destination_service": "web.shop.svc.cluster.local",
        "destination_workload": "unknown",
        "destination_principal": "unknown",
    }
    until(lambda: shared.series("waypoint", "istio_requests_total", **told), "the denied request", 20)
    assert not shared.series("waypoint", "istio_requests_total", destination_workload="")


def test_envoys_own_statistics_have_istios_labels(shared: World) -> None:
    name = "inbound-vip|80|http|web.shop.svc.cluster.local"
    assert shared.series("waypoint", "envoy_cluster_upstream_rq", cluster_name=name)
    assert shared.series("waypoint", "envoy_http_downstream_rq_total", http_conn_manager_prefix=name)
    assert "svc_cluster_local" not in shared.page("waypoint")


def test_only_the_page_can_be_asked_for(shared: World) -> None:
    address = shared.mesh.get(kinds.POD, shared.proxy("waypoint"), "shop")["status"]["podIP"]
    for path in ("/config_dump", "/quitquitquit", "/stats", "/stats/prometheus/../../quitquitquit"):
        with pytest.raises(AssertionError, match="404"):
            shared.mesh.inside("collector", GET, f"http://{address}:15020{path}", namespace="obs")


def test_spans_are_children_of_who_called_and_the_application_gets_the_last(shared: World) -> None:
    status, headers = shared.ask(shared.edge, "/traced", f"traceparent=00-{TRACE}-{PARENT}-01")
    assert status == 200
    (told,) = headers["traceparent"]
    until(lambda: len(shared.spans(TRACE)) >= 2, "the spans of gateway and waypoint", 30)
    by_parent = {span.parent: span for span in shared.spans(TRACE)}
    edge = by_parent[PARENT]
    waypoint = by_parent[edge.id]
    assert told == f"00-{TRACE}-{waypoint.id}-01"
    assert edge.attributes["istio.canonical_service"] == "edge-istio"
    assert waypoint.attributes["istio.canonical_service"] == "web"
    assert waypoint.attributes["http.status_code"] == "200"


def test_b3_goes_to_a_zipkin_collector(shared: World) -> None:
    spec = {"tracing": [{"providers": [{"name": "zipkin"}], "randomSamplingPercentage": 100}]}
    shared.mesh.ask(lambda api: api.patch(kinds.TELEMETRY, "spans", {"spec": spec}, "shop"))

    def found() -> list[dict[str, str]]:
        shared.ask(shared.web, "/b3", f"x-b3-traceid={TRACE}", f"x-b3-spanid={PARENT}", "x-b3-sampled=1")
        all_of_them = [span for body in shared.received("/api/v2/spans") for span in json.loads(body)]
        return [span for span in all_of_them if span["traceId"] == TRACE]

    until(found, "a span in the trace", 30)
    assert {span["parentId"] for span in found()} == {PARENT}


def test_a_log_line_names_the_route_and_a_denied_request_the_policy(shared: World) -> None:
    assert shared.ask(shared.web, "/logged")[0] == 200
    assert shared.ask(shared.web, "/secret")[0] == 403
    until(lambda: "GET /logged" in shared.log("waypoint"), "the line of a request", 20)
    until(lambda: "GET /secret" in shared.log("waypoint"), "the line of a refused request", 20)
    lines = shared.log("waypoint").splitlines()
    passed = next(line for line in lines if "GET /logged" in line)
    denied = next(line for line in lines if "GET /secret" in line)
    assert passed.split()[-1].startswith("shop.front.")
    assert "rbac_access_denied_matched_policy[ns[shop]-policy[no-secrets]-rule[0]]" in denied
