"""Stories of routes: filters that cannot be run, backends with filters of their own, hosts and kinds that meet."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import pki
from kit import worlds as l7
from plait.model.mesh import Mesh
from plait.model.routes import Forward, Redirect, Respond, Route
from plait.model.status import RouteStatus

WORLD = (
    d.service("cart", "10.9.0.1"),
    d.service("reviews", "10.9.0.2"),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}),
    l7.gateway_pod("edge-1", "10.3.0.1", "edge"),
    l7.gateway("edge"),
)
CART, REVIEWS = {"name": "cart", "port": 80}, {"name": "reviews", "port": 80}
REWRITE = {
    "type": "URLRewrite",
    "urlRewrite": {"hostname": "new.example", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}},
}
AUTH = {"type": "ExternalAuth", "externalAuth": {"protocol": "GRPC", "backendRef": CART, "grpc": {}}}


def under(path: str, kind: str = "PathPrefix", **rest: Any) -> dict[str, Any]:
    return {"matches": [{"path": {"type": kind, "value": path}}], **rest}


def route(*rules: Any, kind: str = "HTTPRoute", name: str = "r", **rest: Any) -> d.Document:
    return l7.api(kind, name, parentRefs=[{"name": "edge"}], rules=list(rules), **rest)


def mirror(**backend: Any) -> dict[str, Any]:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": backend}}


def conditions(mesh: Mesh) -> dict[str, tuple[str, str]]:
    status = mesh.l7.statuses["httproutes.gateway.networking.k8s.io/shop/r"]
    assert isinstance(status, RouteStatus)
    return {c.type: (c.status, c.reason) for c in status.parents[0].conditions}


def served(mesh: Mesh, host: str = "*") -> list[Route]:
    (found,) = [
        virtual.routes
        for port in l7.served_by(mesh, "edge-1").ports
        for chain in port.http
        for virtual in chain.virtual_hosts
        if host in virtual.domains
    ]
    return list(found)


def test_a_mirror_that_leads_nowhere_is_told_and_costs_no_request() -> None:
    lost = mirror(group="x.io", kind="Bucket", name="b"), mirror(name="gone", port=80)
    for each in lost:
        mesh, _ = l7.world(*WORLD, route({"filters": [each], "backendRefs": [CART]}))
        assert conditions(mesh)["ResolvedRefs"][0] == "False"
        (one,) = served(mesh)
        assert isinstance(one.action, Forward)
        assert ([each.broken for each in one.action.destinations], one.mirrors) == ([""], ())


def test_a_rule_whose_filter_is_not_served_answers_itself_instead_of_letting_another_rule_answer() -> None:
    guarded, rest = under("/admin", filters=[AUTH], backendRefs=[CART]), under("/", backendRefs=[REVIEWS])
    mesh, problems = l7.world(*WORLD, route(guarded, rest))
    admin, other = served(mesh)
    assert admin.action == Forward((), 500)
    assert isinstance(other.action, Forward) and other.action.destinations
    assert conditions(mesh)["Accepted"] == ("True", "Accepted")
    assert conditions(mesh)["PartiallyInvalid"] == ("True", "UnsupportedValue")
    assert [p.path for p in problems] == ["spec.rules[0].filters"]
    for alone in (guarded, under("/admin", backendRefs=[{**CART, "filters": [AUTH]}])):
        mesh, problems = l7.world(*WORLD, route(alone))
        assert conditions(mesh)["Accepted"] == ("False", "UnsupportedValue")
        assert served(mesh)[0].action == Forward((), 500)
    assert [p.path for p in problems] == ["spec.rules[0].backendRefs[0].filters"]


def test_filters_of_the_only_backend_act_on_its_rule() -> None:
    filters = [REWRITE, mirror(**REVIEWS)]
    idle = {**REVIEWS, "weight": 0}
    mesh, problems = l7.world(*WORLD, route(under("/old", backendRefs=[{**CART, "filters": filters}, idle])))
    (one,) = served(mesh)
    assert one.rewrite is not None
    assert (one.rewrite.host, one.rewrite.prefix) == ("new.example", "/new")
    assert [each.destination.hostname for each in one.mirrors] == ["reviews.shop.svc.cluster.local"]
    assert (problems, conditions(mesh)["Accepted"]) == ((), ("True", "Accepted"))
    away = {"type": "RequestRedirect", "requestRedirect": {"hostname": "away.example"}}
    mesh, _ = l7.world(*WORLD, route(under("/old", backendRefs=[{**CART, "filters": [away]}])))
    assert isinstance(served(mesh)[0].action, Redirect)


def test_one_of_several_backends_whose_filter_cannot_be_run_answers_500_for_its_share() -> None:
    mesh, problems = l7.world(*WORLD, route(under("/old", backendRefs=[{**CART, "filters": [REWRITE]}, REVIEWS])))
    (one,) = served(mesh)
    assert isinstance(one.action, Forward)
    assert [bool(each.broken) for each in one.action.destinations] == [True, False]
    assert one.rewrite is None
    assert conditions(mesh)["PartiallyInvalid"] == ("True", "UnsupportedValue")
    assert [p.path for p in problems] == ["spec.rules[0].backendRefs[0].filters"]


def test_routes_of_both_kinds_on_one_host_are_joined_and_expressions_come_last() -> None:
    calls = {"matches": [{"method": {"service": "shop.Cart"}}], "backendRefs": [CART]}
    shared: dict[str, Any] = {"hostnames": ["shop.example"]}
    mesh, _ = l7.world(
        *WORLD,
        route(under("/api", backendRefs=[REVIEWS]), under("/a.*", "RegularExpression", backendRefs=[CART]), **shared),
        route(calls, kind="GRPCRoute", name="g", **shared),
    )
    paths = [match.path for each in served(mesh, "shop.example") for match in each.matches]
    assert [path.value for path in paths if path] == ["/shop.Cart/", "/api", "/a.*"]


def test_hosts_of_a_route_that_mean_one_host_of_the_listener_give_its_rules_once() -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "a.shop.example"}
    hosts = ["*.shop.example", "a.shop.example", "*.example"]
    mesh, _ = l7.world(
        *WORLD[:4], l7.gateway("edge", "shop", listener), route(under("/", backendRefs=[CART]), hostnames=hosts)
    )
    assert len(served(mesh, "a.shop.example")) == 1


def test_the_closer_hostname_of_two_routes_is_asked_first_whatever_their_paths_and_ages() -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "a.shop.example"}

    def hosted(name: str, path: str, created: str, *hosts: str) -> d.Document:
        rest: dict[str, Any] = {"hostnames": list(hosts)} if hosts else {}
        return route(under(path, backendRefs=[CART]), name=name, creationTimestamp=created, **rest)

    mesh, _ = l7.world(
        *WORLD[:4],
        l7.gateway("edge", "shop", listener),
        hosted("any", "/exact/and/longest", "2026-01-01T00:00:00Z"),
        hosted("wide", "/some/longer", "2026-01-02T00:00:00Z", "*.example"),
        hosted("close", "/some", "2026-01-03T00:00:00Z", "*.shop.example", "*.example"),
        hosted("own", "/so", "2026-01-04T00:00:00Z", "a.shop.example"),
    )
    assert [each.name for each in served(mesh, "a.shop.example")] == [
        "shop.own.0",
        "shop.close.0",
        "shop.wide.0",
        "shop.any.0",
    ]


def test_a_request_for_another_listeners_host_is_misdirected_and_one_for_nobodys_is_not_found() -> None:
    secret = {"certificateRefs": [{"name": "cert"}]}

    def https(name: str, hostname: str = "") -> dict[str, Any]:
        found = {"name": name, "port": 443, "protocol": "HTTPS", "tls": secret}
        return {**found, **({"hostname": hostname} if hostname else {})}

    def at(section: str, *hosts: str) -> d.Document:
        rest: dict[str, Any] = {"hostnames": list(hosts)} if hosts else {}
        parents = [{"name": "edge", "sectionName": section}]
        return l7.api("HTTPRoute", section, parentRefs=parents, rules=[under("/", backendRefs=[CART])], **rest)

    server = pki.Authority().issue("spiffe://a/b")
    data = {"tls.crt": server.certificate.decode(), "tls.key": server.key.decode()}
    listeners = https("any"), https("own", "own.example"), https("wide", "*.wide.example")
    mesh, _ = l7.world(
        *WORLD[:4],
        d.document("v1", "Secret", "cert", stringData=data),
        l7.gateway("edge", "shop", *listeners),
        *(at("any", "some.example"), at("own"), at("wide", "a.wide.example")),
    )
    (port,) = l7.served_by(mesh, "edge-1").ports
    answers = {
        chain.name.split(".")[2]: {
            domain: route.action.status if isinstance(route.action, Respond) else 200
            for host in chain.virtual_hosts
            for domain in host.domains
            for route in host.routes
        }
        for chain in port.http
    }
    assert answers == {
        "any": {"some.example": 200, "own.example": 421, "*.wide.example": 421},
        "own": {"own.example": 200, "*": 421, "*.wide.example": 421},
        "wide": {"a.wide.example": 200, "*.wide.example": 404, "*": 421, "own.example": 421},
    }
