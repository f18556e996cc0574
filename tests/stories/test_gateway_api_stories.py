"""Stories of the Gateway API: gateways, routes, grants, mesh routes, and the statuses people read."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.model.mesh import Mesh
from plait.model.routes import Forward, Redirect, Respond, Session
from plait.model.status import Condition, GatewayStatus, RouteStatus

SERVICES = (
    d.service("cart", "10.9.0.1"),
    d.service("reviews", "10.9.0.2"),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}),
    l7.gateway_pod("edge-1", "10.3.0.1", "edge"),
)
EDGE = l7.gateway("edge")


def backend(name: str, port: int = 80, **rest: Any) -> dict[str, Any]:
    return {"name": name, "port": port, **rest}


def route(name: str, *rules: Any, parent: Any = None, namespace: str = "shop", **rest: Any) -> d.Document:
    parents = [parent or {"name": "edge"}]
    return l7.api("HTTPRoute", name, namespace, parentRefs=parents, rules=list(rules), **rest)


def conditions(mesh: Mesh, key: str) -> dict[str, tuple[str, str]]:
    status = mesh.l7.statuses[key]
    found: tuple[Condition, ...]
    if isinstance(status, RouteStatus):
        found = status.parents[0].conditions
    else:
        found = status.conditions
    return {c.type: (c.status, c.reason) for c in found}


def of_route(mesh: Mesh, name: str, namespace: str = "shop") -> dict[str, tuple[str, str]]:
    return conditions(mesh, f"httproutes.gateway.networking.k8s.io/{namespace}/{name}")


def hosts(mesh: Mesh) -> dict[str, Any]:
    view = l7.served_by(mesh, "edge-1")
    return {h.name: h for port in view.ports for chain in port.http for h in chain.virtual_hosts}


def test_a_route_is_served_and_both_sides_say_so() -> None:
    mesh, problems = l7.world(*SERVICES, EDGE, route("r", {"backendRefs": [backend("cart")]}))
    assert problems == ()
    assert [h.domains for h in hosts(mesh).values()] == [("*",)]
    assert of_route(mesh, "r") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    gateway = mesh.l7.statuses["gateways.gateway.networking.k8s.io/shop/edge"]
    assert isinstance(gateway, GatewayStatus)
    assert [(each.name, each.attached_routes) for each in gateway.listeners] == [("http", 1)]
    assert {k.kind for k in gateway.listeners[0].supported_kinds} == {"HTTPRoute", "GRPCRoute"}


def test_precedence_is_by_match_across_routes() -> None:
    first = route(
        "a",
        {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [backend("cart")]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/v"}}], "backendRefs": [backend("cart")]},
    )
    second = route(
        "b",
        {
            "matches": [
                {"path": {"type": "Exact", "value": "/v"}},
                {"path": {"value": "/v"}, "headers": [{"name": "X", "value": "1"}]},
                {"path": {"value": "/v"}, "method": "GET"},
                {"path": {"value": "/v/longer"}},
            ],
            "backendRefs": [backend("reviews")],
        },
    )
    mesh, _ = l7.world(*SERVICES, EDGE, first, second)
    order = [(r.matches[0].path.how, r.matches[0].path.value) for r in hosts(mesh)["*:80"].routes]
    assert order == [
        ("exact", "/v"),
        ("segments", "/v/longer"),
        ("segments", "/v"),
        ("segments", "/v"),
        ("segments", "/v"),
        ("segments", "/"),
    ]
    matches = [r.matches[0] for r in hosts(mesh)["*:80"].routes]
    assert [bool(m.method) for m in matches[2:5]] == [True, False, False]
    assert [len(m.headers) for m in matches[2:5]] == [0, 1, 0]


def test_a_backend_of_another_namespace_needs_a_grant() -> None:
    away = d.service("far", "10.9.0.5", "other")
    rule = {"backendRefs": [backend("far", namespace="other")]}
    mesh, problems = l7.world(*SERVICES, EDGE, away, route("r", rule))
    assert of_route(mesh, "r")["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert [p.path for p in problems] == ["spec.rules[0].backendRefs[0]"]
    action = hosts(mesh)["*:80"].routes[0].action
    assert isinstance(action, Forward) and action.missing_status == 500 and action.destinations[0].broken
    grant = d.document(
        "gateway.networking.k8s.io/v1beta1",
        "ReferenceGrant",
        "g",
        "other",
        spec={
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    )
    mesh, problems = l7.world(*SERVICES, EDGE, away, grant, route("r", rule))
    assert (of_route(mesh, "r")["ResolvedRefs"], problems) == (("True", "ResolvedRefs"), ())


def test_routes_that_fit_no_listener_are_told_why() -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.shop.example"}
    gateway = l7.gateway("edge", "shop", listener)
    cases = {
        "host": route("host", {}, hostnames=["other.example"]),
        "section": route("section", {}, parent={"name": "edge", "sectionName": "none"}),
        "gateway": route("gateway", {}, parent={"name": "gone"}),
        "namespace": route("namespace", {}, parent={"name": "edge", "namespace": "shop"}, namespace="other"),
        "both": route("both", {}, parent={"name": "edge", "namespace": "shop"}, namespace="other", hostnames=["x.y"]),
        "kind": l7.api("TCPRoute", "kind", parentRefs=[{"name": "edge"}], rules=[{"backendRefs": [backend("cart")]}]),
    }
    mesh, _ = l7.world(*SERVICES, gateway, *cases.values())
    found = {}
    for name, document in cases.items():
        plural, namespace = f"{document['kind'].lower()}s", document["metadata"]["namespace"]
        found[name] = conditions(mesh, f"{plural}.gateway.networking.k8s.io/{namespace}/{name}")["Accepted"]
    assert found == {
        "host": ("False", "NoMatchingListenerHostname"),
        "section": ("False", "NoMatchingParent"),
        "gateway": ("False", "NoMatchingParent"),
        "namespace": ("False", "NotAllowedByListeners"),
        "both": ("False", "NoMatchingListenerHostname"),
        "kind": ("False", "NotAllowedByListeners"),
    }


def test_datagrams_are_carried_by_nobody_and_route_and_listener_say_so() -> None:
    """A listener for UDP hinders none of another protocol at its port."""
    gateway = l7.gateway(
        "edge",
        "shop",
        {"name": "tcp", "port": 53, "protocol": "TCP"},
        {"name": "udp", "port": 53, "protocol": "UDP"},
    )
    parents = [
        {"name": "edge"},
        {"group": "", "kind": "Service", "name": "cart"},
        {"group": "x", "kind": "Y", "name": "z"},
    ]
    rules = [{"backendRefs": [backend("cart", 53)]}]
    told = l7.api("UDPRoute", "dns", parentRefs=parents, rules=rules)
    mesh, problems = l7.world(*SERVICES, gateway, told)
    status = mesh.l7.statuses["udproutes.gateway.networking.k8s.io/shop/dns"]
    assert isinstance(status, RouteStatus)
    assert [each.parent.kind for each in status.parents] == ["Gateway", "Service"], "of others' parents nothing is said"
    for each in status.parents:
        accepted = next(c for c in each.conditions if c.type == "Accepted")
        assert (accepted.status, accepted.reason) == ("False", "UnsupportedValue")
        assert "UDP is not carried by the mesh" in accepted.message
    assert [(p.kind, p.path) for p in problems if "not carried by" in p.message] == [("UDPRoute", "spec")]
    assert mesh.l7.routings == {}
    said = mesh.l7.statuses["gateways.gateway.networking.k8s.io/shop/edge"]
    assert isinstance(said, GatewayStatus)
    accepted = [next(c for c in each.conditions if c.type == "Accepted") for each in said.listeners]
    assert [(c.status, c.reason) for c in accepted] == [("True", "Accepted"), ("False", "UnsupportedProtocol")]
    assert [each.attached_routes for each in said.listeners] == [0, 0]


def test_conflicting_listeners_are_marked_and_the_first_stays() -> None:
    one = {"name": "one", "port": 80, "protocol": "HTTP", "hostname": "a.example"}
    two = {"name": "two", "port": 80, "protocol": "HTTP", "hostname": "a.example"}
    three = {"name": "three", "port": 80, "protocol": "TCP"}
    mesh, _ = l7.world(*SERVICES, l7.gateway("edge", "shop", one, two, three))
    status = mesh.l7.statuses["gateways.gateway.networking.k8s.io/shop/edge"]
    assert isinstance(status, GatewayStatus)
    found = {s.name: {c.type: c.reason for c in s.conditions}["Conflicted"] for s in status.listeners}
    assert found == {"one": "NoConflicts", "two": "HostnameConflict", "three": "ProtocolConflict"}


def test_listeners_are_isolated_by_hostname() -> None:
    listeners = [
        {"name": "any", "port": 80, "protocol": "HTTP"},
        {"name": "wild", "port": 80, "protocol": "HTTP", "hostname": "*.example"},
        {"name": "exact", "port": 80, "protocol": "HTTP", "hostname": "a.example"},
    ]
    backends = {"backendRefs": [backend("cart")]}
    docs = [
        route(name, {**backends, "name": name}, parent={"name": "edge", "sectionName": name}, hostnames=["a.example"])
        for name in ("any", "wild", "exact")
    ]
    mesh, _ = l7.world(*SERVICES, l7.gateway("edge", "shop", *listeners), *docs)
    assert {h.name: [r.name for r in h.routes] for h in hosts(mesh).values()} == {"a.example:80": ["shop.exact.exact"]}


def test_filters_arrive() -> None:
    rule = {
        "matches": [{"path": {"value": "/old"}}],
        "filters": [
            {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}},
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x", "value": "1"}]}},
        ],
    }
    rewrite = {
        "filters": [
            {
                "type": "URLRewrite",
                "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}},
            },
            {"type": "RequestMirror", "requestMirror": {"backendRef": backend("reviews"), "percent": 20}},
        ],
        "timeouts": {"request": "500ms"},
        "backendRefs": [backend("cart")],
    }
    mesh, problems = l7.world(*SERVICES, EDGE, route("r", rule, rewrite))
    assert problems == ()
    first, second = hosts(mesh)["*:80"].routes
    assert first.action == Redirect(301, "https", "", 0)
    assert first.response.set == (("x", "1"),)
    assert (second.rewrite.prefix, second.timeout, second.mirrors[0].percent) == ("/new", 0.5, 20.0)


@pytest.mark.parametrize(
    ("timeouts", "retry", "whole", "one"),
    [
        ({"backendRequest": "500ms"}, None, 0.5, None),
        ({"backendRequest": "500ms", "request": "2s"}, None, 0.5, None),
        ({"backendRequest": "0s", "request": "2s"}, None, 2.0, None),
        ({"backendRequest": "500ms", "request": "2s"}, {"attempts": 3}, 2.0, 0.5),
    ],
)
def test_the_time_of_one_try_is_the_whole_time_where_no_retries_are_asked_for(
    timeouts: dict[str, str], retry: dict[str, int] | None, whole: float, one: float | None
) -> None:
    rule = {"backendRefs": [backend("cart")], "timeouts": timeouts, **({"retry": retry} if retry else {})}
    mesh, _ = l7.world(*SERVICES, EDGE, route("r", rule))
    (found,) = hosts(mesh)["*:80"].routes
    assert (found.timeout, found.retry.per_try_timeout if found.retry else None) == (whole, one)


def test_a_filter_nobody_knows_is_never_skipped() -> None:
    reference = {"group": "x.io", "kind": "Magic", "name": "m"}
    rule = {"filters": [{"type": "ExtensionRef", "extensionRef": reference}], "backendRefs": [backend("cart")]}
    mesh, _ = l7.world(*SERVICES, EDGE, route("r", rule))
    assert hosts(mesh)["*:80"].routes[0].action == Forward((), 500)
    assert of_route(mesh, "r")["ResolvedRefs"] == ("False", "InvalidKind")


def test_a_mesh_route_of_the_producer_binds_every_sidecar_and_a_consumers_only_its_own() -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews", "namespace": "shop"}
    producer = route("p", {"name": "p", "backendRefs": [backend("reviews")]}, parent=parent)
    rule = {"name": "c", "backendRefs": [backend("reviews", namespace="shop")]}
    consumer = route("c", rule, parent=parent, namespace="other")
    grant = d.document(
        "gateway.networking.k8s.io/v1beta1",
        "ReferenceGrant",
        "g",
        spec={
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "other"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    )
    pods = (l7.sidecar_pod("web", "10.0.0.1"), l7.sidecar_pod("spy", "10.0.0.2", "other"))
    mesh, problems = l7.world(*SERVICES, producer, consumer, grant, *pods)
    assert problems == ()
    seen = {}
    for name, namespace in (("web", "shop"), ("spy", "other")):
        view = l7.seen_by(mesh, name, namespace)
        host = next(h for h in view.http[0].virtual_hosts if h.name.startswith("reviews"))
        seen[name] = host.routes[0].name
    assert seen == {"web": "shop.p.p", "spy": "other.c.c"}


def test_a_waypoint_limits_a_consumers_routes_to_callers_of_its_namespace() -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews", "namespace": "shop"}
    paths = {"matches": [{"path": {"value": "/a"}}]}
    consumer = route(
        "c", {"name": "c", **paths, "backendRefs": [backend("reviews", namespace="shop")]}, parent=parent, namespace="b"
    )
    producer = route("p", {"name": "p", "backendRefs": [backend("reviews")]}, parent=parent)
    use = l7.namespace("shop", **{"istio.io/use-waypoint": "waypoint"})
    pod = l7.gateway_pod("waypoint-1", "10.4.0.1", "waypoint")
    mesh, problems = l7.world(*SERVICES, use, l7.waypoint(), pod, consumer, producer)
    assert problems == (), "the consumer's backend is the Service that its callers asked for: no grant is needed"
    served = next(each for each in l7.behind(mesh, "waypoint-1").services if each.name == "reviews")
    found = served.ports[0].virtual_hosts[0].routes
    assert [(each.name, [m.source_namespace for m in each.matches]) for each in found] == [
        ("b.c.c", ["b"]),
        ("default", ["b"]),
        ("shop.p.p", [""]),
    ]
    assert found[1].action == Respond(404), "what the consumer's own routes do not take is not found for its callers"


def test_a_waypoint_is_no_consumer_itself() -> None:
    parent = {"group": "", "kind": "Service", "name": "reviews", "namespace": "shop"}
    consumer = route("c", {"backendRefs": [backend("reviews", namespace="shop")]}, parent=parent, namespace="infra")
    use = {"istio.io/use-waypoint": "waypoint", "istio.io/use-waypoint-namespace": "infra"}
    allowed = {"namespaces": {"from": "All"}}
    listener = {"name": "mesh", "port": 15008, "protocol": "HBONE", "allowedRoutes": allowed}
    gateway = l7.api("Gateway", "waypoint", "infra", gatewayClassName="istio-waypoint", listeners=[listener])
    pod = l7.gateway_pod("waypoint-1", "10.4.0.1", "waypoint", "infra")
    mesh, _ = l7.world(*SERVICES, l7.namespace("shop", **use), gateway, pod, consumer)
    served = next(each for each in l7.behind(mesh, "waypoint-1", "infra").services if each.name == "reviews")
    found = served.ports[0].virtual_hosts[0].routes
    assert [[m.source_namespace for m in each.matches] for each in found] == [["infra"], []]


def test_a_route_with_a_gateway_among_its_parents_needs_the_grant_all_the_same() -> None:
    service = {"group": "", "kind": "Service", "name": "reviews", "namespace": "shop"}
    both = l7.api(
        "HTTPRoute",
        "c",
        "b",
        parentRefs=[service, {"name": "edge", "namespace": "shop"}],
        rules=[{"backendRefs": [backend("reviews", namespace="shop")]}],
    )
    mesh, _ = l7.world(*SERVICES, EDGE, both)
    assert of_route(mesh, "c", "b")["ResolvedRefs"] == ("False", "RefNotPermitted")


def test_tls_and_tcp_routes_become_chains() -> None:
    listeners = [
        {"name": "tls", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
        {"name": "tcp", "port": 5000, "protocol": "TCP"},
    ]
    tls = l7.api(
        "TLSRoute",
        "t",
        parentRefs=[{"name": "edge"}],
        hostnames=["a.example"],
        rules=[{"backendRefs": [backend("cart")]}],
    )
    tcp = l7.api("TCPRoute", "c", parentRefs=[{"name": "edge"}], rules=[{"backendRefs": [backend("cart")]}])
    mesh, problems = l7.world(*SERVICES, l7.gateway("edge", "shop", *listeners), tls, tcp)
    assert problems == ()
    chains = {port.port: port.tcp for port in l7.served_by(mesh, "edge-1").ports}
    assert [(c.server_names, c.tls) for c in chains[443]] == [(("a.example",), None)]
    assert [(c.server_names, c.destinations[0].port) for c in chains[5000]] == [((), 80)]


def test_a_session_cookie_outlives_the_client_only_where_it_is_permanent() -> None:
    def kept(**session: Any) -> tuple[Session | None, list[str]]:
        rule = {"backendRefs": [backend("cart")], "sessionPersistence": session}
        mesh, problems = l7.world(*SERVICES, l7.gateway("edge"), route("r", rule))
        (host,) = hosts(mesh).values()
        return host.routes[0].session, [f"{p.code} {p.path}" for p in problems]

    permanent = {"cookieConfig": {"lifetimeType": "Permanent"}}
    assert kept(sessionName="s") == (Session("cookie", "s"), [])
    assert kept(absoluteTimeout="1h", **permanent) == (Session("cookie", "", 3600.0), [])
    where = "spec.rules[0].sessionPersistence.absoluteTimeout"
    assert kept(**permanent) == (Session("cookie"), [f"PLT0401 {where}"])
    assert kept(absoluteTimeout="1h") == (Session("cookie"), [f"PLT0400 {where}"])
    assert kept(absoluteTimeout="1h", type="Header") == (Session("header"), [f"PLT0400 {where}"])


def test_a_listener_set_adds_listeners_where_the_gateway_allows_it() -> None:
    gateway = l7.gateway("edge", allowedListeners={"namespaces": {"from": "Same"}})
    listener = {"name": "extra", "port": 8080, "protocol": "HTTP"}
    own = l7.api("ListenerSet", "more", parentRef={"name": "edge"}, listeners=[listener])
    foreign = l7.api(
        "ListenerSet", "bad", "other", parentRef={"name": "edge", "namespace": "shop"}, listeners=[listener]
    )
    parent = {"kind": "ListenerSet", "name": "more"}
    mesh, _ = l7.world(*SERVICES, gateway, own, foreign, route("r", {"backendRefs": [backend("cart")]}, parent=parent))
    key = "listenersets.gateway.networking.k8s.io"
    assert conditions(mesh, f"{key}/shop/more")["Accepted"] == ("True", "Accepted")
    assert conditions(mesh, f"{key}/other/bad")["Accepted"] == ("False", "NotAllowed")
    assert [h.name for h in hosts(mesh).values()] == ["*:8080"]


def test_a_listener_set_of_something_else_than_a_gateway_adds_to_none_and_is_told_so() -> None:
    gateway = l7.gateway("edge", allowedListeners={"namespaces": {"from": "Same"}})
    listener = {"name": "extra", "port": 8080, "protocol": "HTTP"}
    other = l7.api("ListenerSet", "more", parentRef={"kind": "Service", "name": "edge"}, listeners=[listener])
    mesh, problems = l7.world(*SERVICES, gateway, other)
    assert [(p.code, p.kind, p.name, p.path) for p in problems] == [
        ("PLT0404", "ListenerSet", "more", "spec.parentRef")
    ]
    edge = mesh.l7.statuses["gateways.gateway.networking.k8s.io/shop/edge"]
    assert isinstance(edge, GatewayStatus)
    assert edge.attached_listener_sets == 0


def test_a_listener_that_conflicts_with_an_earlier_one_is_refused_and_its_set_counts_only_with_a_valid_one() -> None:
    def listener(name: str, protocol: str, **rest: Any) -> dict[str, Any]:
        return {"name": name, "port": 80, "protocol": protocol, **rest}

    def owner(name: str, *listeners: Any) -> d.Document:
        return l7.api("ListenerSet", name, parentRef={"name": "edge"}, listeners=list(listeners))

    edge = l7.gateway("edge", "shop", allowedListeners={"namespaces": {"from": "Same"}})
    good = owner("good", listener("h", "HTTP", hostname="good.example"), listener("t", "TCP"))
    mesh, _ = l7.world(edge, good, owner("bad", listener("t", "TCP")))
    of = {name: f"listenersets.gateway.networking.k8s.io/shop/{name}" for name in ("good", "bad")}
    status = mesh.l7.statuses[of["good"]]
    assert isinstance(status, GatewayStatus)
    assert {c.type: (c.status, c.reason) for c in status.listeners[1].conditions} == {
        "Accepted": ("False", "ProtocolConflict"),
        "Conflicted": ("True", "ProtocolConflict"),
        "Programmed": ("False", "ProtocolConflict"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
    assert conditions(mesh, of["good"]) == {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}
    refused = ("False", "ListenersNotValid")
    assert conditions(mesh, of["bad"]) == {"Accepted": refused, "Programmed": refused}
    gateway = mesh.l7.statuses["gateways.gateway.networking.k8s.io/shop/edge"]
    assert isinstance(gateway, GatewayStatus)
    assert gateway.attached_listener_sets == 1


def test_of_two_backend_policies_of_one_service_the_older_counts_and_the_younger_is_told_so() -> None:
    def policy(name: str, hostname: str, created: str) -> d.Document:
        target = {"group": "", "kind": "Service", "name": "cart"}
        validation = {"hostname": hostname, "wellKnownCACertificates": "System"}
        return l7.api("BackendTLSPolicy", name, targetRefs=[target], validation=validation, creationTimestamp=created)

    old, young = (
        policy("z", "old.example", "2026-01-01T00:00:00Z"),
        policy("a", "young.example", "2026-01-02T00:00:00Z"),
    )
    mesh, _ = l7.world(*SERVICES, EDGE, route("r", {"backendRefs": [backend("cart")]}), old, young)
    key = "backendtlspolicies.gateway.networking.k8s.io/shop"
    assert conditions(mesh, f"{key}/z")["Accepted"] == ("True", "Accepted")
    assert conditions(mesh, f"{key}/a")["Accepted"] == ("False", "Conflicted")
    (cart,) = l7.served_by(mesh, "edge-1").upstreams
    assert cart.policy.tls is not None
    assert cart.policy.tls.sni == "old.example"


def test_an_address_of_a_type_that_nobody_can_give_is_not_accepted() -> None:
    mesh, _ = l7.world(l7.gateway("edge", "shop", addresses=[{"type": "example.com/name", "value": "x"}]))
    found = conditions(mesh, "gateways.gateway.networking.k8s.io/shop/edge")
    assert found["Accepted"] == ("False", "UnsupportedAddress")


def test_grpc_methods_are_paths() -> None:
    grpc = l7.api(
        "GRPCRoute",
        "g",
        parentRefs=[{"name": "edge"}],
        rules=[
            {
                "matches": [{"method": {"service": "a.B", "method": "C"}}, {"method": {"service": "a.B"}}],
                "backendRefs": [backend("cart")],
            }
        ],
    )
    mesh, _ = l7.world(*SERVICES, EDGE, grpc)
    found = [r.matches[0] for r in hosts(mesh)["*:80"].routes]
    assert [(m.path.how, m.path.value, m.grpc) for m in found if m.path] == [
        ("exact", "/a.B/C", True),
        ("prefix", "/a.B/", True),
    ]
