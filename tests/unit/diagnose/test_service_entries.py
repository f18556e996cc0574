from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, istio, said
from plait.diagnose.service_entries import protocols_at_odds, without_address


def entry(name: str = "far", protocol: str = "TCP", **spec: Any) -> d.Document:
    ports = [{"number": 443, "name": "main", "protocol": protocol}]
    return istio("ServiceEntry", name, hosts=["a.example"], ports=ports, resolution="DNS", **spec)


def test_tcp_without_an_address_is_told() -> None:
    assert said(without_address, entry()) == [("IST0134", "far", "spec.ports[0]")]
    assert codes(without_address, entry(protocol="tcp")) == ["IST0134"]
    assert codes(without_address, entry(protocol="")) == ["IST0134"], "the name of a port says nothing here"


def test_who_has_an_address_is_given_one_or_names_hosts_on_the_wire_is_not() -> None:
    assert codes(without_address, entry(addresses=["240.0.0.1"])) == []
    given = {**entry(), "status": {"addresses": [{"value": "240.240.0.1", "host": "a.example"}]}}
    assert codes(without_address, given) == [], "the control plane gave it one"
    assert codes(without_address, entry(protocol="TLS")) == []
    mesh = "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', ISTIO_META_DNS_AUTO_ALLOCATE: 'true'}}"
    config = {**d.document("v1", "ConfigMap", "istio", "istio-system"), "data": {"mesh": mesh}}
    assert codes(without_address, entry(), config) == [], "the mesh configuration says that it will get one"


def test_two_protocols_for_one_port_of_a_host_are_told() -> None:
    assert said(protocols_at_odds, entry("a", "HTTP"), entry("b", "TLS")) == [
        ("IST0177", "a", "spec.ports[0].protocol"),
        ("IST0177", "b", "spec.ports[0].protocol"),
    ]
    assert codes(protocols_at_odds, entry("a", "TLS"), entry("b", "tls")) == []
    alone = entry("a", "HTTP", exportTo=["one"]), entry("b", "TLS", exportTo=["two"])
    assert codes(protocols_at_odds, *alone) == [], "nobody sees both"
    assert codes(protocols_at_odds, alone[0], entry("b", "TLS")) == ["IST0177"] * 2
