from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, deployment, istio, said
from plait.diagnose.virtual_services import ambiguous_ports, claims_unverified, unreachable

ROUTE = {"route": [{"destination": {"host": "web"}}]}


def rule(*matches: d.Document, **rest: Any) -> d.Document:
    return {**({"match": list(matches)} if matches else {}), **ROUTE, **rest}


def routes(*rules: d.Document, **spec: Any) -> d.Document:
    return istio("VirtualService", "web", hosts=["web"], http=list(rules), **spec)


def path(prefix: str, **rest: Any) -> d.Document:
    return {"uri": {"prefix": prefix}, **rest}


def service(*numbers: int) -> d.Document:
    ports = [{"port": number, "name": f"http-{number}"} for number in numbers]
    return d.document("v1", "Service", "web", spec={"ports": ports, "clusterIP": "10.96.0.1"})


def test_a_destination_without_a_port_of_several_is_told() -> None:
    assert said(ambiguous_ports, service(80, 81), routes(rule())) == [
        ("IST0112", "web", "spec.http[0].route[0].destination.port")
    ]
    named = routes({"route": [{"destination": {"host": "web", "port": {"number": 81}}}]})
    assert codes(ambiguous_ports, service(80, 81), named) == []
    assert codes(ambiguous_ports, service(80), routes(rule())) == []
    assert codes(ambiguous_ports, service(80, 81), routes(rule(mirror={"host": "web"}))) == ["IST0112"] * 2


def test_rules_after_one_that_takes_everything_are_told() -> None:
    assert said(unreachable, routes(rule(), rule(path("/a")))) == [("IST0130", "web", "spec.http[1]")]
    assert codes(unreachable, routes(rule(path("/")), rule(path("/a")))) == ["IST0130"]
    assert codes(unreachable, routes(rule(path("/a")), rule())) == []
    assert codes(unreachable, routes(rule(path("/", port=80)), rule(path("/a")))) == []


def test_matches_that_stand_earlier_are_told() -> None:
    assert codes(unreachable, routes(rule(path("/a")), rule(path("/a", name="again")))) == ["IST0130"]
    twice = routes(rule(path("/a")), rule(path("/a"), path("/b")))
    assert said(unreachable, twice) == [("IST0131", "web", "spec.http[1].match[0]")]
    assert codes(unreachable, routes(rule(path("/a")), rule(path("/b")))) == []


def test_tcp_and_tls_rules_are_judged_alike() -> None:
    sni = {"match": [{"sniHosts": ["a.example"]}], **ROUTE}
    assert codes(unreachable, istio("VirtualService", "web", hosts=["a.example"], tls=[sni, sni])) == ["IST0130"]
    tcp = [ROUTE, {"match": [{"port": 80}], **ROUTE}]
    assert codes(unreachable, istio("VirtualService", "web", hosts=["web"], tcp=tcp)) == ["IST0130"]
    assert codes(unreachable, istio("VirtualService", "web", hosts=["web"], tcp=tcp[::-1])) == []


def test_routes_by_claims_need_a_gateway_that_verifies_tokens() -> None:
    claim = {"headers": {"@request.auth.claims.group": {"exact": "a"}}}
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    world = [
        deployment("edge"),
        istio("Gateway", "edge", selector={"app": "edge"}, servers=[server]),
        routes(rule(claim), gateways=["edge"]),
    ]
    verifying = d.document("security.istio.io/v1", "RequestAuthentication", "jwt")
    verifying["spec"] = {"selector": {"matchLabels": {"app": "edge"}}, "jwtRules": [{"issuer": "a"}]}
    assert codes(claims_unverified, *world) == ["IST0149"]
    assert codes(claims_unverified, *world, verifying) == []
    elsewhere = {**verifying, "spec": {**verifying["spec"], "selector": {"matchLabels": {"app": "web"}}}}
    assert codes(claims_unverified, *world, elsewhere) == ["IST0149"]
    assert codes(claims_unverified, *world[:2], routes(rule(path("/")), gateways=["edge"])) == []
