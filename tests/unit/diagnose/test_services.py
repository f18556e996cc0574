from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import AMBIENT, INJECTED, codes, deployment, namespace, said
from plait.diagnose.services import (
    external_names,
    one_port_two_protocols,
    one_target_two_ports,
    reserved_ports,
    unnamed_protocols,
)


def service(name: str, *ports: d.Document, app: str = "web", namespace: str = "shop", **spec: Any) -> d.Document:
    return d.document("v1", "Service", name, namespace, spec={"ports": list(ports), "selector": {"app": app}, **spec})


def port(number: int, name: str = "", **rest: Any) -> d.Document:
    return {"port": number, "name": name, **rest}


def test_a_port_that_tells_no_protocol_is_told() -> None:
    assert said(unnamed_protocols, service("web", port(80, "http"), port(81, "main"))) == [
        ("IST0118", "web", "spec.ports[1].name")
    ]


def test_ports_that_tell_one_are_not() -> None:
    known = (port(80, "http-web"), port(90, "main", appProtocol="grpc"), port(53, "dns", protocol="UDP"))
    assert codes(unnamed_protocols, service("web", *known)) == []
    assert codes(unnamed_protocols, service("dns", port(53, "dns-tcp"), namespace="kube-system")) == []
    istiod = service("istiod", port(15014, "monitoring"))
    istiod["metadata"]["labels"] = {"istio": "pilot"}
    assert codes(unnamed_protocols, istiod) == [], "a part of Istio"


def test_a_service_on_a_port_of_the_proxies_is_told() -> None:
    assert said(reserved_ports, service("web", port(80, "http"), port(15001, "http-odd"))) == [
        ("PLT0021", "web", "spec.ports[1].port")
    ]
    assert codes(reserved_ports, service("edge", port(15021, "status-port"), port(80, "http"))) == []
    waypoint = service("waypoint", port(15008, "mesh"))
    waypoint["metadata"]["labels"] = {"gateway.networking.k8s.io/gateway-name": "waypoint"}
    assert codes(reserved_ports, waypoint) == []


def test_an_external_name_s_tcp_port_is_told() -> None:
    outside = {"type": "ExternalName", "externalName": "a.example"}
    assert codes(external_names, service("far", port(443, "main"), **outside)) == ["IST0150"]
    assert codes(external_names, service("far", port(443, "tcp"), **outside)) == ["IST0150"]
    assert codes(external_names, service("far", port(443, "tls-web"), port(444, "tcp-web"), **outside)) == []
    assert codes(external_names, service("near", port(443, "main"))) == []


def test_one_port_with_two_protocols_is_told() -> None:
    first, second = service("a", port(80, "http")), service("b", port(80, "tcp"))
    assert said(one_port_two_protocols, deployment("web"), first, second) == [("IST0116", "web", "spec.template.spec")]
    assert codes(one_port_two_protocols, deployment("web"), first, service("b", port(80, "http-x"))) == []
    elsewhere = service("b", port(80, "tcp"), app="api")
    assert codes(one_port_two_protocols, deployment("web"), first, elsewhere) == []


def test_workloads_without_a_proxy_and_proxies_themselves_are_no_concern() -> None:
    pair = service("a", port(80, "http")), service("b", port(80, "tcp"))
    assert codes(one_port_two_protocols, namespace("shop"), deployment("web"), *pair) == []
    assert codes(one_port_two_protocols, INJECTED, deployment("web"), *pair) == ["IST0116"]
    assert codes(one_port_two_protocols, AMBIENT, deployment("web"), *pair) == ["IST0116"]
    waypoint = deployment("web", labels={"gateway.networking.k8s.io/gateway-name": "web"})
    assert codes(one_port_two_protocols, waypoint, *pair) == []


def test_one_target_under_two_numbers_is_told() -> None:
    first, second = service("a", port(80, "http", targetPort=8080)), service("b", port(81, "http", targetPort=8080))
    assert codes(one_target_two_ports, deployment("web"), first, second) == ["IST0137"]
    same = service("b", port(80, "http", targetPort=8080))
    assert codes(one_target_two_ports, deployment("web"), first, same) == []
    alone = service("a", port(80, "http", targetPort=8080), port(81, "http-2", targetPort=8080))
    assert codes(one_target_two_ports, deployment("web"), alone) == []
