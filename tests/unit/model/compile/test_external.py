"""ServiceEntries and their endpoints: addresses stated and given, names that are looked up, and who may see them."""

from __future__ import annotations

from plait.model.compile import external
from plait.model.compile.authentication import Authentication
from plait.model.compile.memory import Memory
from plait.model.compile.workloads import Attached
from plait.model.mesh import LoadBalancing, NetworkAddress, Service, Settings, Workload
from plait.resources.decode import decode
from plait.resources.networking.service_entry import ServiceEntry
from plait.resources.problems import Problem


def entry(
    status: dict[str, object] | None = None, meta: dict[str, object] | None = None, **spec: object
) -> ServiceEntry:
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "e", "namespace": "shop", **(meta or {})},
        "spec": {
            "hosts": ["one.test"],
            "ports": [{"number": 80, "targetPort": 8080, "name": "tcp", "protocol": "TCP"}],
            **spec,
        },
        **({"status": status} if status else {}),
    }
    typed, problems = decode(document)
    assert isinstance(typed, ServiceEntry), problems
    return typed


def services(each: ServiceEntry) -> list[Service]:
    return list(external.services([each], Memory.of(None), {}))


def workloads(each: ServiceEntry) -> tuple[list[Workload], list[Problem]]:
    problems: list[Problem] = []
    attached = Attached(lambda _, labels: sorted(labels.values()), Authentication([], Settings(), problems))
    return list(external.inline([each], attached, Settings(), problems)), problems


GIVEN = {"addresses": [{"value": "240.240.0.1", "host": "one.test"}, {"value": "240.240.0.2", "host": "two.test"}]}


def test_each_host_has_the_address_it_was_given_unless_addresses_are_stated() -> None:
    one, two = services(entry(GIVEN, hosts=["one.test", "two.test"], resolution="STATIC"))
    assert one.addresses == (NetworkAddress("240.240.0.1"),) and two.addresses == (NetworkAddress("240.240.0.2"),)
    (stated,) = services(entry(GIVEN, addresses=["192.0.2.1"], resolution="STATIC"))
    assert stated.addresses == (NetworkAddress("192.0.2.1"),)


def test_names_are_endpoints_where_they_are_looked_up_and_a_problem_where_not() -> None:
    found, problems = workloads(entry(resolution="DNS", endpoints=[{"address": "DB.example.test"}]))
    assert [(w.hostname, w.addresses) for w in found] == [("db.example.test", ())] and not problems
    found, problems = workloads(entry(resolution="STATIC", endpoints=[{"address": "db.example.test"}]))
    assert not found and problems[0].path == "spec.endpoints[0].address"


def test_without_endpoints_each_host_is_looked_up_itself_and_serves_itself_only() -> None:
    found, _ = workloads(entry(resolution="DNS", hosts=["one.test", "two.test", "*.three.test"]))
    assert [(w.hostname, [m.service for m in w.services]) for w in found] == [
        ("one.test", ["shop/one.test"]),
        ("two.test", ["shop/two.test"]),
    ]
    assert found[0].services[0].ports[0].target == 8080


def test_what_is_not_exported_is_its_namespaces_own() -> None:
    assert services(entry(exportTo=["."]))[0].namespace_only
    assert not services(entry())[0].namespace_only


def test_near_endpoints_come_first_where_the_annotation_says_so_and_none_where_nothing_is_looked_up() -> None:
    near = {"annotations": {"networking.istio.io/traffic-distribution": "PreferSameZone"}}
    zone = LoadBalancing(("network", "region", "zone"), "failover")
    assert [s.load_balancing for s in services(entry(meta=near, resolution="STATIC"))] == [zone]
    passed = LoadBalancing((), "passthrough", allow_unhealthy=True)
    assert [s.load_balancing for s in services(entry(meta=near, resolution="NONE"))] == [passed]


def test_labels_of_the_entry_are_its_endpoints_too() -> None:
    labels = {"app": "outside", "networking.istio.io/tunnel": "http"}
    endpoints = [{"address": "192.0.2.1", "labels": {"app": "db"}}, {"address": "192.0.2.2"}]
    found, _ = workloads(entry(meta={"labels": labels}, resolution="STATIC", endpoints=endpoints))
    assert [(w.canonical_name, w.tunnel) for w in found] == [("db", "hbone"), ("outside", "hbone")]
    assert [w.policies for w in found] == [("db", "http"), ("http", "outside")]
