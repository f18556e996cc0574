from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import pki
from plait.model.compile import compile
from plait.model.gateways import Gateway
from plait.resources.objects import from_documents
from plait.resources.problems import Problem


def gateway(credential: str = "cert") -> d.Document:
    server = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.example"]}
    tls = {"mode": "SIMPLE", "credentialName": credential}
    spec = {"selector": {"app": "edge"}, "servers": [{**server, "tls": tls}]}
    return d.document("networking.istio.io/v1", "Gateway", "edge", spec=spec)


def secret(namespace: str, **data: Any) -> d.Document:
    leaf = pki.Authority().issue("https://a.example")
    good = {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}
    return {**d.document("v1", "Secret", "cert", namespace), "stringData": data or good}


def compiled(*documents: d.Document) -> tuple[Gateway, list[Problem]]:
    objects, _ = from_documents(documents)
    mesh, problems = compile(objects)
    found = [each for each in problems if each.path.endswith("credentialName")]
    return mesh.l7.gateways["shop/edge"], found


PROXY = d.pod("edge-1", "10.0.0.1", "far", labels={"app": "edge"})


def test_a_bare_name_is_looked_up_beside_the_proxies_as_in_istio_and_then_beside_the_gateway() -> None:
    for documents, name in (
        ([secret("shop"), PROXY], "shop/cert"),
        ([secret("shop"), secret("far"), PROXY], "far/cert"),
        ([secret("far"), PROXY], "far/cert"),
    ):
        found, problems = compiled(gateway(), *documents)
        (listener,) = found.listeners
        assert listener.tls is not None
        assert ([each.secret for each in listener.tls.certificates], listener.broken, problems) == ([name], "", [])


def test_what_is_nowhere_or_useless_closes_the_server() -> None:
    for documents, code in (
        ([secret("far")], "IST0101"),
        ([PROXY], "IST0101"),
        ([secret("shop", cert="x")], "IST0161"),
    ):
        found, problems = compiled(gateway(), *documents)
        assert found.listeners[0].broken
        assert [each.code for each in problems] == [code]


def test_a_name_with_a_namespace_is_that_one() -> None:
    found, problems = compiled(gateway("kubernetes-gateway://other/cert"), secret("far"), PROXY)
    assert found.listeners[0].broken
    assert "other/cert" in problems[0].message
