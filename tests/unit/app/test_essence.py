from __future__ import annotations

from typing import Any

from kit import documents as d
from plait.app.essence import essence
from plait.resources.decode import decode
from plait.resources.meta import Resource

CONDITION = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "x"}
GATEWAY = "gateway.networking.k8s.io/v1"


def typed(document: dict[str, Any]) -> Resource:
    found, problems = decode(document)
    assert found is not None and not problems, problems
    return found


def same(document: dict[str, Any], status: dict[str, Any]) -> bool:
    """Does a status write leave what is compiled as it was?"""
    metadata = {**document["metadata"], "resourceVersion": "7", "generation": 3}
    return essence(typed(document)) == essence(typed({**document, "metadata": metadata, "status": status}))


def test_no_status_that_we_write_is_compiled() -> None:
    at = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    gateway = d.document(GATEWAY, "Gateway", "edge", spec={"gatewayClassName": "plait", "listeners": [listener]})
    conditions = {"conditions": [{**CONDITION, **at}]}
    assert same(gateway, conditions)
    route = d.document(GATEWAY, "HTTPRoute", "r", spec={"parentRefs": [{"name": "edge"}]})
    parents = [{"parentRef": {"name": "edge"}, "controllerName": "plait.dev/gateway-controller", **conditions}]
    assert same(route, {"parents": parents})
    assert same(d.document(GATEWAY, "GatewayClass", "c", spec={"controllerName": "a.b/c"}), conditions)
    assert same(d.document("networking.istio.io/v1", "VirtualService", "v", spec={"hosts": ["a"]}), conditions)
    entry = {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http"}]}
    assert same(d.document("networking.istio.io/v1", "ServiceEntry", "e", spec=entry), conditions)
    assert same(d.service("web", "10.96.0.1"), conditions)


def test_what_compile_reads_of_a_status_stays() -> None:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    gateway = d.document(GATEWAY, "Gateway", "edge", spec={"gatewayClassName": "plait", "listeners": [listener]})
    assert not same(gateway, {"addresses": [{"value": "10.0.0.1"}]})
    entry = {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http"}]}
    document = d.document("networking.istio.io/v1", "ServiceEntry", "e", spec=entry)
    assert not same(document, {"addresses": [{"value": "240.240.0.1", "host": "a.example"}]})
    assert not same(d.service("web", "10.96.0.1"), {"loadBalancer": {"ingress": [{"ip": "10.1.0.1"}]}})
