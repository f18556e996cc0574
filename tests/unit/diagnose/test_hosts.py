from __future__ import annotations

from kit import documents as d
from kit.evidence import evidence, istio
from plait.diagnose.hosts import Hosts, readers


def test_exact_names_go_before_wildcards() -> None:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    world = [
        istio("ServiceEntry", name, hosts=[host], ports=ports)
        for name, host in (("w", "*.a.example"), ("x", "x.a.example"))
    ]
    hosts = Hosts(evidence(d.service("web", "10.96.0.1"), *world))
    assert [host.name for host in hosts.named("x.a.example")] == ["x.a.example"]
    assert [host.name for host in hosts.named("y.a.example")] == ["*.a.example"]
    assert hosts.named("y.b.example") == []
    assert [(host.name, host.ports) for host in hosts.named("web.shop.svc.cluster.local")] == [
        ("web.shop.svc.cluster.local", (80,))
    ]
    assert {host.name for host in hosts.inside("*.example")} == {"x.a.example", "*.a.example"}


def test_who_reads_an_object() -> None:
    assert readers((), "shop") == readers(("*",), "shop") == readers((".",), "shop") == ("shop",)
    assert readers((".", "other"), "shop") == ("shop", "other")


def test_the_mesh_s_default_decides_who_sees_what_says_nothing() -> None:
    config = {**d.document("v1", "ConfigMap", "istio", "istio-system"), "data": {"mesh": "defaultServiceExportTo: [.]"}}
    (host,) = Hosts(evidence(d.service("web", "10.96.0.1"), config)).named("web.shop.svc.cluster.local")
    assert host.seen(("shop",))
    assert not host.seen(("other",))
