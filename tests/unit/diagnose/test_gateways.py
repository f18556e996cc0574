from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import pki
from kit.evidence import codes, deployment, istio, said
from plait.diagnose.gateways import conflicting, credentials, shared_certificate, unexposed_port, unserved


def gateway(name: str, *hosts: str, port: int = 80, app: str = "edge", **server: Any) -> d.Document:
    one = {"port": {"number": port, "name": "a", "protocol": "HTTP"}, "hosts": list(hosts or ("*",)), **server}
    return istio("Gateway", name, selector={"app": app}, servers=[one])


def test_one_host_on_one_port_of_two_gateways_is_told() -> None:
    found = said(conflicting, gateway("a", "x.example"), gateway("b", "y.example", "*/X.example"))
    assert found == [("IST0145", "a", "spec.servers[0].hosts"), ("IST0145", "b", "spec.servers[0].hosts")]


def test_other_hosts_ports_proxies_and_namespaces_are_none() -> None:
    first = gateway("a", "x.example")
    for second in (
        gateway("b", "y.example"),
        gateway("b", "*.example"),
        gateway("b", "x.example", port=81),
        gateway("b", "x.example", app="other"),
        gateway("b", "x.example", bind="10.0.0.1"),
    ):
        assert codes(conflicting, first, second) == []
    assert codes(conflicting, gateway("a", "one/x.example"), gateway("b", "two/x.example")) == []
    assert codes(conflicting, gateway("a", "one/x.example"), gateway("b", "./x.example")) == []


def test_selectors_that_one_pod_meets_are_of_the_same_proxies() -> None:
    wide, narrow = gateway("a", "x.example"), gateway("b", "x.example")
    narrow["spec"]["selector"] = {"app": "edge", "zone": "in"}
    assert codes(conflicting, wide, narrow) == []
    assert codes(conflicting, deployment("edge"), wide, narrow) == []
    assert codes(conflicting, deployment("edge", labels={"zone": "in"}), wide, narrow) == ["IST0145"] * 2


def test_a_gateway_that_nobody_serves_is_told() -> None:
    assert said(unserved, gateway("a")) == [("IST0101", "a", "spec.selector")]
    assert codes(unserved, gateway("a"), deployment("edge")) == []
    assert codes(unserved, istio("Gateway", "a", selector={"app": "edge"})) == ["IST0101"], "a refused one too"


def secret(namespace: str = "shop", **data: str) -> d.Document:
    made = d.document("v1", "Secret", "cert", namespace)
    return {**made, "stringData": {name.replace("_", "."): text for name, text in data.items()}}


def test_a_certificate_that_is_missing_or_useless_is_told() -> None:
    asking = gateway("a", port=443, tls={"mode": "SIMPLE", "credentialName": "cert"})
    path = "spec.servers[0].tls.credentialName"
    assert said(credentials, asking) == [("IST0101", "a", path)]
    assert said(credentials, asking, secret(cert="x")) == [("IST0161", "a", path)]
    leaf = pki.Authority().issue("https://a.example")
    good = {"tls_crt": leaf.certificate.decode(), "tls_key": leaf.key.decode()}
    assert codes(credentials, asking, secret(**good)) == []
    assert codes(credentials, asking, secret("far", **good)) == ["IST0101"]
    beside = {**deployment("edge"), "metadata": {"name": "edge", "namespace": "far"}}
    assert codes(credentials, asking, secret("far", **good), beside) == [], "beside the proxies is as good"
    passing = gateway("a", port=443, tls={"mode": "PASSTHROUGH"})
    assert codes(credentials, passing) == []


def test_a_certificate_of_two_gateways_is_told() -> None:
    tls = {"tls": {"mode": "SIMPLE", "credentialName": "cert"}}
    pair = gateway("a", "x.example", port=443, **tls), gateway("b", "y.example", port=443, **tls)
    assert codes(shared_certificate, *pair) == ["IST0138", "IST0138"]
    assert codes(shared_certificate, pair[0], gateway("b", app="other", port=443, **tls)) == []
    pair[1]["spec"]["selector"] = {"app": "edge", "zone": "in"}
    assert [name for _, name, _ in said(shared_certificate, *pair)] == ["a"], "whose proxies serve both"
    assert codes(shared_certificate, pair[0]) == []


def test_a_port_to_which_no_service_leads_is_told() -> None:
    proxies = deployment("edge")
    service = d.service("edge", "10.96.0.1", port=80, target=8080)
    assert said(unexposed_port, proxies, service, gateway("a", port=8443)) == [
        ("IST0162", "a", "spec.servers[0].port.number")
    ]
    assert codes(unexposed_port, proxies, service, gateway("a", port=8080)) == []
    assert codes(unexposed_port, proxies, gateway("a", port=8443)) == ["IST0162"], "there is no Service at all"
    assert codes(unexposed_port, gateway("a", port=8443)) == [], "nobody serves it: that is told of the selector"
    named = d.service("edge", "10.96.0.1", port=80, target="http")
    assert codes(unexposed_port, proxies, named, gateway("a", port=8443)) == []
