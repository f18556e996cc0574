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
    assert codes(without_address, entry(protocol="")) == ["IST0134"]


def test_with_an_address_or_a_protocol_that_names_hosts_it_is_not() -> None:
    assert codes(without_address, entry(addresses=["240.0.0.1"])) == []
    assert codes(without_address, entry(protocol="TLS"), entry("b", "HTTP")) == []
    given = {**entry(), "status": {"addresses": [{"value": "240.240.0.1"}]}}
    assert codes(without_address, given) == []


def test_two_protocols_for_one_port_of_a_host_are_told() -> None:
    assert said(protocols_at_odds, entry("a", "HTTP"), entry("b", "TLS")) == [
        ("IST0177", "b", "spec.ports[0].protocol")
    ]
    assert codes(protocols_at_odds, entry("a", "TLS"), entry("b", "TLS")) == []
