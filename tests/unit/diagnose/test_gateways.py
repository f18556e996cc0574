from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, deployment, istio, said
from plait.diagnose.gateways import conflicting, shared_certificate, unexposed_port


def gateway(name: str, *hosts: str, port: int = 80, app: str = "edge", **server: Any) -> d.Document:
    one = {"port": {"number": port, "name": "a", "protocol": "HTTP"}, "hosts": list(hosts or ("*",)), **server}
    return istio("Gateway", name, selector={"app": app}, servers=[one])


def test_one_host_on_one_port_of_two_gateways_is_told() -> None:
    found = said(conflicting, gateway("a", "x.example"), gateway("b", "*.example"))
    assert found == [("IST0145", "a", "spec.servers[0].hosts"), ("IST0145", "b", "spec.servers[0].hosts")]


def test_other_hosts_ports_proxies_and_namespaces_are_none() -> None:
    first = gateway("a", "x.example")
    for second in (
        gateway("b", "y.example"),
        gateway("b", "x.example", port=81),
        gateway("b", "x.example", app="other"),
        gateway("b", "x.example", bind="10.0.0.1"),
    ):
        assert codes(conflicting, first, second) == []
    assert codes(conflicting, gateway("a", "one/x.example"), gateway("b", "two/x.example")) == []
    assert codes(conflicting, gateway("a", "one/x.example"), gateway("b", "./x.example")) == []


def test_a_certificate_of_two_gateways_is_told() -> None:
    tls = {"tls": {"mode": "SIMPLE", "credentialName": "cert"}}
    pair = gateway("a", "x.example", port=443, **tls), gateway("b", "y.example", port=443, **tls)
    assert codes(shared_certificate, *pair) == ["IST0138", "IST0138"]
    assert codes(shared_certificate, pair[0], gateway("b", app="other", port=443, **tls)) == []
    assert codes(shared_certificate, pair[0]) == []


def test_a_port_to_which_no_service_leads_is_told() -> None:
    proxies = deployment("edge")
    service = d.service("edge", "10.96.0.1", port=80, target=8080)
    assert said(unexposed_port, proxies, service, gateway("a", port=8443)) == [
        ("IST0162", "a", "spec.servers[0].port.number")
    ]
    assert codes(unexposed_port, proxies, service, gateway("a", port=8080)) == []
    assert codes(unexposed_port, proxies, gateway("a", port=8443)) == [], "no Service at all is another matter"
    named = d.service("edge", "10.96.0.1", port=80, target="http")
    assert codes(unexposed_port, proxies, named, gateway("a", port=8443)) == []
