from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, istio, said
from plait.diagnose.destinations import ambiguous_ports, bypassed_subsets, dangling

WEB = d.service("web", "10.96.0.1")
FIRST = "spec.http[0].route[0].destination"


def to(host: str = "web", subset: str = "", port: int = 0) -> d.Document:
    given = {"subset": subset, "port": {"number": port}}
    return {
        "destination": {
            "host": host,
            **{name: value for name, value in given.items() if value and value != {"number": 0}},
        }
    }


def routes(
    *shares: d.Document, name: str = "v", namespace: str = "shop", mirror: d.Document | None = None, **spec: Any
) -> d.Document:
    rule = {"route": list(shares or (to(),)), **({"mirror": mirror} if mirror else {})}
    return istio("VirtualService", name, namespace, **{"hosts": ["a.example"], "http": [rule], **spec})


def service(*numbers: int, **annotations: str) -> d.Document:
    ports = [{"port": number, "name": f"http-{number}"} for number in numbers]
    made = d.document("v1", "Service", "web", spec={"ports": ports, "clusterIP": "10.96.0.1"})
    made["metadata"]["annotations"] = annotations
    return made


def outside(host: str, **spec: Any) -> d.Document:
    ports = [{"number": 443, "name": "tls", "protocol": "TLS"}]
    return istio("ServiceEntry", "far", "other", hosts=[host], ports=ports, **spec)


def test_a_host_a_port_and_a_subset_that_are_not_there_are_told() -> None:
    assert said(dangling, WEB, routes(to("wbe"))) == [("IST0101", "v", f"{FIRST}.host")]
    assert said(dangling, WEB, routes(to(port=99))) == [("IST0101", "v", f"{FIRST}.port.number")]
    assert said(dangling, WEB, routes(to(subset="v9"))) == [("IST0101", "v", f"{FIRST}.subset")]
    assert said(dangling, WEB, routes(mirror={"host": "wbe"})) == [("IST0101", "v", "spec.http[0].mirror.host")]
    tcp = {"http": [], "tcp": [{"route": [to("wbe")]}]}
    assert said(dangling, WEB, routes(**tcp)) == [("IST0101", "v", "spec.tcp[0].route[0].destination.host")]


def test_short_full_and_foreign_names_are_found() -> None:
    rule = istio("DestinationRule", "web", host="web", subsets=[{"name": "v1", "labels": {"a": "b"}}])
    for share in (to(), to("web.shop.svc.cluster.local"), to(port=80), to(subset="v1")):
        assert codes(dangling, WEB, rule, routes(share)) == [], share
    assert codes(dangling, outside("*.far.example"), routes(to("a.far.example"), to("*.far.example"))) == []


def test_a_host_is_there_only_for_whom_it_is_exported_to() -> None:
    assert codes(dangling, outside("far.example", exportTo=["."]), routes(to("far.example"))) == ["IST0101"]
    assert codes(dangling, outside("far.example", exportTo=["shop"]), routes(to("far.example"))) == []
    hidden = service(80, **{"networking.istio.io/exportTo": "shop, other"})
    here = routes(to("web.shop.svc.cluster.local"), namespace="other")
    assert codes(dangling, hidden, here) == []
    there = routes(to("web.shop.svc.cluster.local"), namespace="third")
    assert codes(dangling, hidden, there) == ["IST0101"]
    given_away = routes(to("web.shop.svc.cluster.local"), exportTo=["third"])
    assert codes(dangling, hidden, given_away) == ["IST0101"], "those who have the rule do not see the host"


def test_objects_that_break_another_rule_are_looked_at_too() -> None:
    nameless = istio("VirtualService", "v", http=[{"route": [to("wbe")]}])
    assert codes(dangling, nameless) == ["IST0101"]


def test_a_destination_without_a_port_of_several_is_told() -> None:
    assert said(ambiguous_ports, service(80, 81), routes()) == [("IST0112", "v", f"{FIRST}.port")]
    assert codes(ambiguous_ports, service(80, 81), routes(to(port=81))) == []
    assert codes(ambiguous_ports, service(80), routes()) == []
    assert codes(ambiguous_ports, service(80, 81), routes(mirror={"host": "web"})) == ["IST0112"] * 2


def test_a_gateway_s_route_past_the_subsets_of_a_host_is_told() -> None:
    mesh = routes(to(subset="v1"), name="inside", hosts=["web"])
    assert said(bypassed_subsets, WEB, mesh, routes(gateways=["edge"])) == [("IST0140", "v", f"{FIRST}.subset")]
    assert codes(bypassed_subsets, WEB, mesh, routes(to(subset="v1"), gateways=["edge"])) == []
    assert codes(bypassed_subsets, WEB, mesh, routes()) == [], "no gateway is concerned"
    elsewhere = routes(to(subset="v1"), name="inside", hosts=["other"])
    assert codes(bypassed_subsets, WEB, elsewhere, routes(gateways=["edge"])) == []
