from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, istio, said
from plait.diagnose.service_entries import protocols_at_odds, without_address


def entry(name: str = "far", protocol: str = "TCP", **spec: Any) -> d.Document:
    ports = [{"number": 443, "name": "main", "protocol": protocol}]
    return istio("ServiceEntry", name, hosts=["a.example"], ports=ports, resolution="DNS", **spec)


def labelled(document: d.Document, labels: dict[str, str]) -> d.Document:
    return {**document, "metadata": {**document["metadata"], "labels": labels}}


def test_tcp_without_an_address_is_told() -> None:
    refused = {"networking.istio.io/enable-autoallocate-ip": "false"}
    assert said(without_address, labelled(entry(), refused)) == [("IST0134", "far", "spec.ports[0]")]
    passing = {**entry(protocol=""), "spec": {**entry(protocol="")["spec"], "resolution": "NONE"}}
    assert codes(without_address, passing) == ["IST0134"]


def test_who_has_an_address_is_given_one_or_names_hosts_on_the_wire_is_not() -> None:
    refused = {"networking.istio.io/enable-autoallocate-ip": "false"}
    assert codes(without_address, labelled(entry(addresses=["240.0.0.1"]), refused)) == []
    assert codes(without_address, entry()) == [], "the control plane gives it one"
    assert codes(without_address, labelled(entry(protocol="TLS"), refused)) == []


def test_two_protocols_for_one_port_of_a_host_are_told() -> None:
    assert said(protocols_at_odds, entry("a", "HTTP"), entry("b", "TLS")) == [
        ("IST0177", "b", "spec.ports[0].protocol")
    ]
    assert codes(protocols_at_odds, entry("a", "TLS"), entry("b", "TLS")) == []
