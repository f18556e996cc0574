"""Stories of Istio's API: what somebody writes, and what a sidecar or gateway then does."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds as l7
from plait.model.mesh import Mesh
from plait.model.routes import Forward, Redirect, Respond, Route, VirtualHost
from plait.model.views.sidecar import SidecarView

SHOP = (
    d.service("cart", "10.9.0.1"),
    d.service("reviews", "10.9.0.2"),
    l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}),
    l7.sidecar_pod("reviews-1", "10.0.0.2", labels={"app": "reviews", "version": "v1"}),
    l7.sidecar_pod("reviews-2", "10.0.0.3", labels={"app": "reviews", "version": "v2"}),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}),
)
SUBSETS = l7.rules("reviews", subsets=[{"name": v, "labels": {"version": v}} for v in ("v1", "v2")])


def to(host: str, subset: str = "", weight: int | None = None) -> dict[str, Any]:
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {"destination": destination, **({"weight": weight} if weight is not None else {})}


def host_of(view: SidecarView, name: str, port: int = 80) -> VirtualHost:
    outbound = next(each for each in view.http if each.port == port)
    return next(each for each in outbound.virtual_hosts if name in each.domains)


def ends(route: Route) -> list[tuple[str, str, int, bool]]:
    assert isinstance(route.action, Forward)
    return [(e.hostname.split(".")[0], e.subset, e.weight, bool(e.broken)) for e in route.action.destinations]


def codes(problems: Any) -> list[tuple[str, str]]:
    return [(p.code, p.path) for p in problems if p.severity == "error"]


def test_a_split_goes_to_the_pods_of_each_subset() -> None:
    mesh, problems = l7.world(
        *SHOP, SUBSETS, l7.routes("reviews", [{"route": [to("reviews", "v1", 90), to("reviews", "v2", 10)]}])
    )
    view = l7.seen_by(mesh, "web")
    assert problems == ()
    assert ends(host_of(view, "reviews").routes[0]) == [("reviews", "v1", 90, False), ("reviews", "v2", 10, False)]
    found = {u.subset: [e.address for e in u.endpoints] for u in view.upstreams if u.service == "reviews"}
    assert found["v1"] == ["10.0.0.2"]
    assert found["v2"] == ["10.0.0.3"]


def test_a_missing_subset_breaks_its_share_only_and_is_said() -> None:
    mesh, problems = l7.world(
        *SHOP, SUBSETS, l7.routes("reviews", [{"route": [to("reviews", "v1", 50), to("reviews", "v9", 50)]}])
    )
    assert codes(problems) == [("IST0101", "spec.http[0].route[1].destination")]
    host = host_of(l7.seen_by(mesh, "web"), "reviews")
    assert ends(host.routes[0]) == [("reviews", "v1", 50, False), ("reviews", "v9", 50, True)]


def test_a_bad_expression_leaves_out_its_match_and_never_widens_the_rule() -> None:
    rule = {"match": [{"uri": {"regex": "(a"}}], "route": [to("cart")]}
    mesh, problems = l7.world(*SHOP, l7.routes("reviews", [rule, {"route": [to("reviews")]}]))
    assert codes(problems) == [("PLT0401", "spec.http[0].match[0].uri.regex")]
    assert [ends(r) for r in host_of(l7.seen_by(mesh, "web"), "reviews").routes] == [[("reviews", "", 1, False)]]


def test_the_oldest_of_two_virtual_services_for_a_host_counts_and_the_other_is_told() -> None:
    old = l7.routes("reviews", [{"name": "old", "route": [to("reviews")]}], creationTimestamp="2026-01-01T00:00:00Z")
    new = l7.routes("reviews", [{"name": "new", "route": [to("cart")]}], creationTimestamp="2026-02-01T00:00:00Z")
    new["metadata"]["name"] = "another"
    mesh, problems = l7.world(*SHOP, new, old)
    assert [(p.code, p.name) for p in problems] == [("IST0109", "another")]
    assert host_of(l7.seen_by(mesh, "web"), "reviews").routes[0].name == "old"


def test_delegates_take_the_place_of_the_rule_that_names_them() -> None:
    root = l7.routes("reviews", [{"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "part"}, "timeout": "2s"}])
    part = l7.istio(
        "VirtualService",
        "part",
        http=[
            {"match": [{"uri": {"prefix": "/a/b"}}], "route": [to("cart")]},
            {"match": [{"uri": {"prefix": "/z"}}], "route": [to("cart")]},
        ],
    )
    mesh, problems = l7.world(*SHOP, root, part)
    routes = host_of(l7.seen_by(mesh, "web"), "reviews").routes
    assert [(r.matches[0].path.value, r.timeout) for r in routes if r.matches[0].path] == [("/a/b", 2.0)]
    assert [p.code for p in problems] == ["PLT0402"]


def test_a_loop_of_delegates_is_a_problem_and_leaves_the_other_rules() -> None:
    root = l7.routes("reviews", [{"delegate": {"name": "a"}}, {"route": [to("reviews")]}])
    loop = l7.istio("VirtualService", "a", http=[{"delegate": {"name": "b"}}])
    back = l7.istio("VirtualService", "b", http=[{"delegate": {"name": "a"}}])
    mesh, problems = l7.world(*SHOP, root, loop, back)
    assert [p.code for p in problems] == ["PLT0403"]
    assert len(host_of(l7.seen_by(mesh, "web"), "reviews").routes) == 1


def test_every_part_of_a_rule_arrives() -> None:
    rule = {
        "name": "all",
        "match": [
            {
                "uri": {"exact": "/x"},
                "method": {"exact": "GET"},
                "headers": {"X-User": {"prefix": "j"}, "@request.auth.claims.group": {"exact": "dev"}},
                "withoutHeaders": {"x-old": {}},
                "queryParams": {"q": {"regex": "a+"}},
                "sourceLabels": {"app": "web"},
                "ignoreUriCase": True,
            }
        ],
        "route": [{**to("reviews"), "headers": {"response": {"remove": ["server"]}}}],
        "rewrite": {"uri": "/y", "authority": "other"},
        "timeout": "1.5s",
        "retries": {"attempts": 3, "perTryTimeout": "500ms", "retryOn": "5xx,503", "backoff": "10ms"},
        "fault": {
            "delay": {"fixedDelay": "5s", "percentage": {"value": 10}},
            "abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 20}},
        },
        "mirrors": [{"destination": {"host": "cart"}, "percentage": {"value": 5}}],
        "corsPolicy": {"allowOrigins": [{"exact": "*"}], "allowMethods": ["GET"], "maxAge": "1h"},
        "headers": {"request": {"set": {"a": "1"}, "add": {"b": "2"}, "remove": ["c"]}},
    }
    mesh, problems = l7.world(*SHOP, l7.routes("reviews", [rule]))
    assert problems == ()
    route = host_of(l7.seen_by(mesh, "web"), "reviews").routes[0]
    match = route.matches[0]
    assert match.path is not None
    assert (match.path.how, match.path.value, match.path.ignore_case) == ("exact", "/x", True)
    assert {(h.name, h.value.how, h.negated) for h in match.headers} == {
        ("x-user", "prefix", False),
        ("x-old", "present", True),
    }
    assert [(c.path, c.value.value) for c in match.claims] == [(("group",), "dev")]
    assert route.rewrite is not None
    assert (route.rewrite.prefix, route.rewrite.host, route.timeout) == ("/y", "other", 1.5)
    assert route.retry is not None
    assert (route.retry.on, route.retry.codes, route.retry.per_try_timeout) == (("5xx",), (503,), 0.5)
    assert route.fault is not None and route.fault.abort is not None and route.fault.delay is not None
    assert (route.fault.abort.grpc, route.fault.abort.percent, route.fault.delay.seconds) == (14, 20.0, 5.0)
    assert [(m.destination.port, m.percent) for m in route.mirrors] == [(80, 5.0)]
    assert route.cors is not None and (route.cors.origins[0].how, route.cors.max_age) == ("present", 3600.0)
    assert (route.request.set, route.request.add, route.request.remove) == ((("a", "1"),), (("b", "2"),), ("c",))


def test_redirect_and_direct_response_are_answers() -> None:
    rules = [
        {"match": [{"uri": {"prefix": "/r"}}], "redirect": {"uri": "/n", "redirectCode": 308, "scheme": "https"}},
        {"directResponse": {"status": 418, "body": {"string": "no"}}},
    ]
    mesh, _ = l7.world(*SHOP, l7.routes("reviews", rules))
    first, second = (r.action for r in host_of(l7.seen_by(mesh, "web"), "reviews").routes)
    assert first == Redirect(308, "https", "", 0, "/n")
    assert second == Respond(418, b"no")


def test_a_sidecar_sees_only_what_its_scope_and_export_to_let_it() -> None:
    scope = l7.istio("Sidecar", "default", egress=[{"hosts": ["./*"]}], outboundTrafficPolicy={"mode": "REGISTRY_ONLY"})
    hidden = d.service("secret", "10.9.0.7", annotations={"networking.istio.io/exportTo": "."})
    other = d.service("far", "10.9.0.8", "other")
    mesh, _ = l7.world(*SHOP, scope, hidden, other, l7.sidecar_pod("spy", "10.1.0.1", "other"))
    view = l7.seen_by(mesh, "web")
    assert {u.service for u in view.upstreams} == {"cart", "reviews", "secret"}
    assert view.unknown == "registry_only"
    assert {u.service for u in l7.seen_by(mesh, "spy", "other").upstreams} == {"cart", "reviews", "far"}


def test_port_settings_replace_and_subset_settings_cover() -> None:
    rule = l7.rules(
        "reviews",
        trafficPolicy={
            "loadBalancer": {"simple": "RANDOM"},
            "outlierDetection": {"consecutive5xxErrors": 3},
            "portLevelSettings": [{"port": {"number": 81}, "loadBalancer": {"simple": "ROUND_ROBIN"}}],
        },
        subsets=[
            {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}}}
        ],
    )
    mesh, _ = l7.world(*SHOP, rule)
    traffic = mesh.l7.traffic["shop/reviews"]
    assert traffic.effective(80).balancing.simple == "random"  # type: ignore[union-attr]
    assert traffic.effective(80, "v1").balancing.simple == "least_request"  # type: ignore[union-attr]
    assert traffic.effective(80, "v1").outliers is not None
    assert (traffic.effective(81).balancing.simple, traffic.effective(81).outliers) == ("round_robin", None)  # type: ignore[union-attr]


def test_the_way_follows_what_the_endpoint_is() -> None:
    disable = d.peers(
        "off", "DISABLE", spec={"selector": {"matchLabels": {"version": "v2"}}, "mtls": {"mode": "DISABLE"}}
    )
    mesh, _ = l7.world(*SHOP, disable, d.pod("cart-2", "10.0.0.9", labels={"app": "cart"}, captured=False))
    view = l7.seen_by(mesh, "web")
    assert {e.address: e.way for u in view.upstreams for e in u.endpoints} == {
        "10.0.0.2": "istio",
        "10.0.0.3": "plain",
        "10.0.0.4": "tunnel",
        "10.0.0.9": "plain",
    }


def test_mutual_tls_is_spoken_to_whom_label_or_account_says() -> None:
    def outside(name: str, address: str, **spec: Any) -> d.Document:
        return l7.istio("WorkloadEntry", name, address=address, **spec)

    tls = "security.istio.io/tlsMode"
    mine = {"app": "in"}
    entry = l7.istio(
        "ServiceEntry",
        "in",
        hosts=["in.example"],
        location="MESH_INTERNAL",
        resolution="STATIC",
        ports=[{"number": 80, "name": "http", "protocol": "HTTP"}],
        workloadSelector={"labels": mine},
    )
    inline = l7.istio(
        "ServiceEntry",
        "inline",
        hosts=["inline.example"],
        location="MESH_INTERNAL",
        resolution="STATIC",
        ports=[{"number": 80, "name": "http", "protocol": "HTTP"}],
        endpoints=[{"address": "192.0.2.7"}, {"address": "192.0.2.8", "serviceAccount": "vm"}],
    )
    mesh, _ = l7.world(
        l7.sidecar_pod("web", "10.0.0.1"),
        entry,
        inline,
        l7.sidecar_pod("plain", "10.0.0.2", labels={**mine, tls: "disabled"}),
        l7.sidecar_pod("said", "10.0.0.3", labels={**mine, tls: "istio"}),
        l7.sidecar_pod("mute", "10.0.0.4", labels=mine),
        outside("a", "192.0.2.1", labels=mine),
        outside("b", "192.0.2.2", labels=mine, serviceAccount="vm"),
        outside("c", "192.0.2.3", labels={**mine, tls: "istio"}),
        outside("d", "192.0.2.4", labels={**mine, tls: "disabled"}, serviceAccount="vm"),
    )
    found = {e.address: e.way for u in l7.seen_by(mesh, "web").upstreams for e in u.endpoints}
    plain, secure = {a for a, way in found.items() if way == "plain"}, {a for a, way in found.items() if way == "istio"}
    assert plain == {"10.0.0.2", "192.0.2.1", "192.0.2.4", "192.0.2.7"}
    assert secure == {"10.0.0.3", "10.0.0.4", "192.0.2.2", "192.0.2.3", "192.0.2.8"}


def test_a_sidecar_finds_the_pods_and_the_names_that_a_service_entry_chooses() -> None:
    def entry(host: str, resolution: str) -> d.Document:
        ports = [{"number": 80, "targetPort": 8080, "name": "http", "protocol": "HTTP"}]
        chosen = {"labels": {"app": "out"}}
        return l7.istio("ServiceEntry", host, hosts=[host], resolution=resolution, ports=ports, workloadSelector=chosen)

    mesh, problems = l7.world(
        l7.sidecar_pod("web", "10.0.0.1"),
        entry("by-name.example", "DNS"),
        entry("by-address.example", "STATIC"),
        l7.istio("WorkloadEntry", "vm", address="vm.example", labels={"app": "out"}),
        d.pod("out", "10.0.0.7", labels={"app": "out"}),
    )
    found = {u.hostname: {(e.address, e.port) for e in u.endpoints} for u in l7.seen_by(mesh, "web").upstreams}
    assert found == {
        "by-name.example": {("vm.example", 8080), ("10.0.0.7", 8080)},
        "by-address.example": {("10.0.0.7", 8080)},
    }
    assert not problems


def test_inbound_ports_are_those_of_the_pods_services_with_their_mtls_mode() -> None:
    strict = d.peers("strict", "STRICT")
    mesh, _ = l7.world(*SHOP, strict)
    view = l7.seen_by(mesh, "reviews-1")
    assert [(p.port, p.protocol, p.mtls, p.service_port) for p in view.inbound] == [(8080, "http", "strict", 80)]
    assert view.default_mtls == "strict"


def edge(mesh: Mesh) -> Any:
    return l7.served_by(mesh, "edge-1", "istio-system")


EDGE = d.pod("edge-1", "10.3.0.1", "istio-system", captured=False, labels={"istio": "edge"})
HTTP = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.example"]}


def test_an_ingress_gateway_serves_the_routes_bound_to_it() -> None:
    gateway = l7.istio("Gateway", "front", selector={"istio": "edge"}, servers=[HTTP])
    routes = l7.istio(
        "VirtualService", "front", hosts=["shop.example"], gateways=["front"], http=[{"route": [to("cart")]}]
    )
    mesh, problems = l7.world(*SHOP, EDGE, gateway, routes)
    assert problems == ()
    port = edge(mesh).ports[0]
    assert (port.port, port.http[0].name) == (80, "http.80")
    assert [host.domains for host in port.http[0].virtual_hosts] == [("shop.example",)]


def test_a_gateway_with_a_missing_secret_closes_that_server_only() -> None:
    tls = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {"mode": "SIMPLE", "credentialName": "gone"},
    }
    gateway = l7.istio("Gateway", "front", selector={"istio": "edge"}, servers=[HTTP, tls])
    mesh, problems = l7.world(*SHOP, EDGE, gateway)
    assert codes(problems) == [("IST0101", "spec.servers[1].tls.credentialName")]
    assert [port.port for port in edge(mesh).ports] == [80]


def test_a_route_to_an_external_name_goes_by_dns_and_without_mesh_tls() -> None:
    entry = l7.istio(
        "ServiceEntry",
        "api",
        hosts=["api.example.com"],
        ports=[{"number": 443, "name": "https", "protocol": "TLS"}],
        resolution="DNS",
    )
    mesh, problems = l7.world(*SHOP, entry)
    assert problems == ()
    found = next(u for u in l7.seen_by(mesh, "web").upstreams if u.hostname == "api.example.com")
    assert (found.resolution, found.external) == ("dns", True)
    assert [(e.address, e.port, e.way) for e in found.endpoints] == [("api.example.com", 443, "plain")]


def test_fields_nobody_translates_yet_are_said() -> None:
    rule = {"fault": {"abort": {"http2Error": "x", "percentage": {"value": 1}}}, "route": [to("cart")]}
    _, problems = l7.world(*SHOP, l7.routes("reviews", [rule]))
    assert [(p.code, p.path) for p in problems] == [("PLT0400", "spec.http[0].fault.abort.http2Error")]


def test_rules_of_one_namespace_for_one_host_are_joined_and_the_oldest_leads() -> None:
    first = l7.rules("reviews", subsets=[{"name": "v1"}], creationTimestamp="2026-01-01T00:00:00Z")
    second = l7.rules(
        "reviews",
        subsets=[{"name": "v2"}, {"name": "v1", "labels": {"a": "b"}}],
        trafficPolicy={"loadBalancer": {"simple": "RANDOM"}},
        creationTimestamp="2026-02-01T00:00:00Z",
    )
    second["metadata"]["name"] = "more"
    mesh, problems = l7.world(*SHOP, second, first)
    joined = mesh.l7.traffic["shop/reviews"]
    assert [(s.name, s.labels) for s in joined.subsets] == [("v1", ()), ("v2", ())]
    assert joined.policy.balancing is not None
    assert [(p.name, p.path) for p in problems] == [("more", "spec.subsets")]


def test_near_endpoints_come_first_when_outliers_are_watched() -> None:
    def node(name: str, zone: str) -> d.Document:
        labels = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": zone}
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}

    far = d.pod("reviews-3", "10.0.0.7", labels={"app": "reviews"}, node="n2")
    watched = l7.rules("reviews", trafficPolicy={"outlierDetection": {"consecutive5xxErrors": 1}})
    mesh, _ = l7.world(*SHOP, far, watched, node("n1", "a"), node("n2", "b"))
    found = next(u for u in l7.seen_by(mesh, "web").upstreams if u.service == "reviews")
    assert {e.address: e.priority for e in found.endpoints} == {"10.0.0.2": 0, "10.0.0.3": 0, "10.0.0.7": 1}


def test_a_service_at_a_port_of_the_proxy_itself_takes_no_listener_from_it() -> None:
    waypoint = d.service("waypoint", "10.9.0.9", port=15008)
    view = l7.seen_by(l7.world(*SHOP, waypoint)[0], "web")
    assert 15008 not in {each.port for each in (*view.http, *view.tcp)}
    assert 80 in {each.port for each in view.http}


def test_a_cipher_that_envoy_does_not_know_is_left_out_and_told() -> None:
    tls = {"mode": "SIMPLE", "credentialName": "cert", "cipherSuites": ["ROT13", "AES256-SHA", "AES256-SHA"]}
    server = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"], "tls": tls}
    mesh, problems = l7.world(l7.istio("Gateway", "edge", selector={"app": "edge"}, servers=[server]))
    assert ("PLT0401", "spec.servers[0].tls.cipherSuites[0]") in [(p.code, p.path) for p in problems]
    (gateway,) = mesh.l7.gateways.values()
    assert gateway.listeners[0].tls is not None
    assert gateway.listeners[0].tls.ciphers == ("AES256-SHA",)
