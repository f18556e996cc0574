"""Stories of ServiceEntries: whom they lead to, and what it means when something of the Gateway API names one."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.model.mesh import Mesh
from plait.model.status import RouteStatus

PORTS = [{"number": 80, "name": "http", "protocol": "HTTP"}, {"number": 8443, "name": "secure", "protocol": "HTTP"}]
PAIR = l7.istio("ServiceEntry", "pair", hosts=["one.example", "two.example"], ports=PORTS, resolution="DNS")
ENTRY = {"group": "networking.istio.io", "kind": "ServiceEntry", "name": "pair"}
ANSWER = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "three.example"}}]}


def policy(name: str, hostname: str, /, **target: Any) -> d.Document:
    validation = {"hostname": hostname, "wellKnownCACertificates": "System"}
    return l7.api("BackendTLSPolicy", name, targetRefs=[{**ENTRY, **target}], validation=validation)


def accepted(mesh: Mesh, key: str) -> tuple[str, str]:
    found = mesh.l7.statuses[f"{key.partition('/')[0]}.gateway.networking.k8s.io/shop/{key.partition('/')[2]}"]
    assert isinstance(found, RouteStatus)
    (said,) = {(c.status, c.reason) for p in found.parents for c in p.conditions if c.type == "Accepted"}
    return said


@pytest.mark.parametrize(("port", "served"), [(None, (80, 8443)), (8443, (8443,))])
def test_a_route_of_an_entry_serves_each_of_its_hosts(port: int | None, served: tuple[int, ...]) -> None:
    parent = {**ENTRY, **({"port": port} if port else {})}
    route = l7.api("HTTPRoute", "r", parentRefs=[parent], rules=[ANSWER])
    mesh, problems = l7.world(PAIR, route, l7.sidecar_pod("web", "10.0.0.1"))
    assert problems == ()
    view = l7.seen_by(mesh, "web")
    bound = {
        (listener.port, host.name.partition(":")[0])
        for listener in view.http
        for host in listener.virtual_hosts
        if any(each.name == "shop.r.0" for each in host.routes)
    }
    assert bound == {(number, host) for number in served for host in ("one.example", "two.example")}


def test_a_policy_of_an_entry_secures_each_of_its_hosts_and_one_of_a_port_goes_before_it() -> None:
    hosts = [
        {"group": "networking.istio.io", "kind": "Hostname", "name": f"{name}.example", "port": port}
        for name in ("one", "two")
        for port in (80, 8443)
    ]
    route = l7.api("HTTPRoute", "r", parentRefs=[{"name": "edge"}], rules=[{"backendRefs": hosts}])
    pod = l7.gateway_pod("edge-1", "10.3.0.1", "edge")
    every, some = policy("every", "all.example"), policy("some", "port.example", sectionName="secure")
    mesh, problems = l7.world(PAIR, l7.gateway(), pod, route, every, some)
    assert problems == ()
    assert {accepted(mesh, f"backendtlspolicies/{name}") for name in ("every", "some")} == {("True", "Accepted")}
    found = {(u.hostname, u.port): u.policy.tls for u in l7.served_by(mesh, "edge-1").upstreams}
    assert {key: tls.sni if tls else "" for key, tls in found.items()} == {
        ("one.example", 80): "all.example",
        ("one.example", 8443): "port.example",
        ("two.example", 80): "all.example",
        ("two.example", 8443): "port.example",
    }


@pytest.mark.parametrize("target", [{"name": "gone"}, {"sectionName": "gone"}])
def test_a_policy_of_an_entry_that_is_not_there_says_so(target: dict[str, str]) -> None:
    mesh, _ = l7.world(PAIR, policy("p", "all.example", **target))
    assert accepted(mesh, "backendtlspolicies/p") == ("False", "TargetNotFound")
    assert not mesh.l7.backend_tls


def test_an_address_among_names_to_look_up_is_one_endpoint() -> None:
    ends = [{"address": "a.example", "ports": {"http": 8080}}, {"address": "10.7.0.1", "weight": 3}]
    entry = l7.istio("ServiceEntry", "e", hosts=["e.example"], ports=PORTS, resolution="DNS", endpoints=ends)
    mesh, problems = l7.world(entry, l7.sidecar_pod("web", "10.0.0.1"))
    assert problems == ()
    (found,) = [each for each in l7.seen_by(mesh, "web").upstreams if (each.hostname, each.port) == ("e.example", 80)]
    assert sorted((end.address, end.port, end.weight) for end in found.endpoints) == [
        ("10.7.0.1", 80, 3),
        ("a.example", 8080, 1),
    ]
