"""What names mean to a pod: services, hosts, wildcards, members, search paths, and who may see what."""

from __future__ import annotations

import pytest

from plait.model.index import Index, index_of
from plait.model.mesh import LoadBalancing, Membership, Mesh, NetworkAddress, Service, Workload
from plait.model.views.names import Meaning, lookup


def service(name: str, namespace: str, address: str = "", **more: object) -> Service:
    host = f"{name}.{namespace}.svc.cluster.local"
    addresses = (NetworkAddress(address),) if address else ()
    return Service(name, namespace, host, addresses, canonical=True, **more)  # type: ignore[arg-type]


def entry(host: str, namespace: str, address: str = "", **more: object) -> Service:
    addresses = (NetworkAddress(address),) if address else ()
    return Service("entry", namespace, host, addresses, **more)  # type: ignore[arg-type]


def member(uid: str, key: str, address: str, status: str = "healthy") -> Workload:
    return Workload(uid, addresses=(address,), services=(Membership(key),), status=status)  # type: ignore[arg-type]


def world(services: list[Service], workloads: list[Workload] | None = None) -> Index:
    return index_of(Mesh(workloads={w.uid: w for w in workloads or []}, services={s.key: s for s in services}))


WEB = "web.shop.svc.cluster.local"
WORLD = world(
    [
        service("web", "shop", "10.64.128.20"),
        service("peers", "shop"),
        service("sick", "shop", load_balancing=LoadBalancing(allow_unhealthy=True)),
        service("empty", "shop"),
        entry("api.example.org", "shop", "240.240.0.1"),
        entry("*.example.net", "shop", "240.240.0.2"),
        entry("special.example.net", "shop", "240.240.0.3"),
        entry("nowhere.example.org", "shop"),
    ],
    [
        member("a", "shop/peers.shop.svc.cluster.local", "10.64.1.2"),
        member("b", "shop/peers.shop.svc.cluster.local", "10.64.1.3", "unhealthy"),
        member("c", "shop/sick.shop.svc.cluster.local", "10.64.1.4", "unhealthy"),
    ],
)


@pytest.mark.parametrize("asked", [WEB, "web.shop.svc", "web.shop", "web"])
def test_a_service_is_found_by_every_name_its_pods_search_path_makes(asked: str) -> None:
    assert lookup(WORLD, "shop", asked) == Meaning(WEB, ("10.64.128.20",))


@pytest.mark.parametrize("asked", ["web", "web.other", "web.other.svc.cluster.local", "example.org", "example.net"])
def test_what_is_not_the_meshs_is_nobodys(asked: str) -> None:
    assert lookup(WORLD, "other", asked) is None


@pytest.mark.parametrize("search", ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"])
def test_a_host_with_a_search_domain_behind_it_is_an_alias(search: str) -> None:
    found = lookup(WORLD, "shop", f"api.example.org.{search}")
    assert found == Meaning("api.example.org", ("240.240.0.1",), alias=True)


def test_another_namespaces_search_domain_is_none_of_the_pods() -> None:
    assert lookup(WORLD, "shop", "api.example.org.other.svc.cluster.local") is None


@pytest.mark.parametrize(
    "asked,address",
    [
        ("a.example.net", "240.240.0.2"),
        ("a.b.example.net", "240.240.0.2"),
        ("special.example.net", "240.240.0.3"),
        ("a.special.example.net", "240.240.0.2"),
    ],
)
def test_a_wildcard_covers_what_is_below_it_and_nothing_that_has_its_own_entry(asked: str, address: str) -> None:
    found = lookup(WORLD, "shop", asked)
    assert found is not None and (found.hostname, found.addresses) == (asked, (address,))


def test_a_headless_service_is_its_members_without_the_sick_unless_it_publishes_them() -> None:
    peers, sick = lookup(WORLD, "shop", "peers"), lookup(WORLD, "shop", "sick")
    assert peers is not None and peers.addresses == ("10.64.1.2",)
    assert sick is not None and sick.addresses == ("10.64.1.4",)


def test_a_service_without_members_exists_and_a_host_without_addresses_is_the_worlds() -> None:
    assert lookup(WORLD, "shop", "empty") == Meaning("empty.shop.svc.cluster.local", ())
    assert lookup(WORLD, "shop", "nowhere.example.org") is None


def test_of_several_entries_the_pods_own_namespace_counts_first_then_the_clusters_service() -> None:
    index = world(
        [
            entry("api.example.org", "a", "240.240.0.1"),
            entry("api.example.org", "b", "240.240.0.2"),
            entry(WEB, "a", "240.240.0.3"),
            service("web", "shop", "10.64.128.20"),
        ]
    )
    seen = {where: lookup(index, where, "api.example.org") for where in ("a", "b", "c")}
    assert [found.addresses[0] for found in seen.values() if found] == ["240.240.0.1", "240.240.0.2", "240.240.0.1"]
    web = lookup(index, "c", WEB)
    assert web is not None and web.addresses == ("10.64.128.20",)


def test_what_a_namespace_keeps_for_itself_is_not_told_elsewhere() -> None:
    index = world([entry("api.example.org", "a", "240.240.0.1", namespace_only=True)])
    assert lookup(index, "a", "api.example.org") is not None
    assert lookup(index, "b", "api.example.org") is None


def test_the_index_follows_services_that_come_and_go() -> None:
    first = Mesh(services={s.key: s for s in [service("web", "shop", "10.64.128.20")]})
    index = index_of(Mesh(), index_of(first))
    assert lookup(index_of(first), "shop", "web") is not None
    assert lookup(index, "shop", "web") is None
