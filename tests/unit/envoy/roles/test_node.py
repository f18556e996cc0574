"""Rules about the translation of a node that a golden file shows but does not explain."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node
from plait.model.mesh import Membership, Mesh, NetworkAddress, Port, Service, Settings, Workload
from plait.model.policies import Group, Match, Policy, Rule
from plait.model.views.node import NodeState, NodeView, PodState, project


def view(*policies: Policy, pods: tuple[str, ...] = ("a", "b"), services: int = 1) -> NodeView:
    workloads = {
        f"Kubernetes//Pod/ns/{name}": Workload(
            f"Kubernetes//Pod/ns/{name}", name, "ns", (f"10.1.0.{n}",), tunnel="hbone", service_account=name
        )
        for n, name in enumerate(pods, 1)
    }
    found = [
        Service(f"s{n}", "ns", f"s{n}.ns.svc.cluster.local", (NetworkAddress(f"10.2.0.{n}"),), (Port(80),))
        for n in range(services)
    ]
    mesh = Mesh(Settings(ranges=("10.0.0.0/8",)), workloads, {s.key: s for s in found}, {p.key: p for p in policies})
    states = tuple(
        PodState(f"uid-{name}", "ns", name, name, (f"10.1.0.{n}",), f"/run/netns/{name}")
        for n, name in enumerate(pods, 1)
    )
    return project(mesh, NodeState("n", states))


def states(document: Any) -> list[dict[str, Any]]:
    """Every filter state object set anywhere in a document."""
    if isinstance(document, dict):
        here = [document] if "object_key" in document else []
        return here + [found for value in document.values() for found in states(value)]
    return [found for value in document for found in states(value)] if isinstance(document, list) else []


def test_a_policy_change_changes_filters_and_plaintext_listeners_and_nothing_of_a_tunnel() -> None:
    before = node.translate(view())
    policy = Policy("p", "ns", "namespace", "deny", (Group((Rule((Match(destination_ports=(1,)),)),)),))
    after = node.translate(view(policy))
    changed = {
        name
        for url in after.types
        for name, resource in after.of(url).items()
        if before.of(url).get(name) is not resource
    }
    assert changed == {"deny|uid-a", "deny|uid-b", "inbound|uid-a", "inbound|uid-b"}


def test_a_new_pod_leaves_every_other_resource_as_it_was() -> None:
    before, after = node.translate(view(pods=("a",))), node.translate(view(pods=("a", "b")))
    for url, resources in before.types.items():
        for name, resource in resources.items():
            assert after.of(url)[name] is resource


def test_only_the_namespace_is_hashable_so_pools_part_by_pod_and_by_nothing_else() -> None:
    found = [s for document in node.documents(view())["listeners"] for s in states(document)]
    hashable = {s["object_key"] for s in found if s["factory_key"] == "envoy.hashable_string"}
    assert hashable == {names.FS_NETNS}


def test_the_choice_of_cluster_is_never_shared_with_the_internal_listener() -> None:
    found = [s for document in node.documents(view())["listeners"] for s in states(document)]
    chosen = [s["shared_with_upstream"] for s in found if s["object_key"] == names.FS_CLUSTER]
    assert chosen and set(chosen) == {"NONE"}


def test_every_shared_cluster_that_carries_connections_has_its_breakers_lifted() -> None:
    for document in node.documents(view())["clusters"]:
        if document["name"] != names.BLACKHOLE:
            assert document["circuit_breakers"]["thresholds"][0]["max_connections"] == 2**32 - 1, document["name"]


def test_no_network_rbac_filter_is_ever_written() -> None:
    assert "filters.network.rbac" not in repr(node.documents(view()))


@pytest.mark.parametrize(("limit", "pushed"), [(3, 3), (2, 0)])
def test_a_small_mesh_is_pushed_early_and_a_large_one_is_not(limit: int, pushed: int) -> None:
    bundle = node.translate(view(services=3), Options(eager=limit))
    assert sum(name.startswith(names.ON_DEMAND) for name in bundle.of(names.CLUSTER)) == pushed


def test_the_threshold_counts_services_not_ports() -> None:
    world = view(services=2)
    two = {s.key: msgspec.structs.replace(s, ports=(Port(80), Port(81))) for s in world.mesh.services.values()}
    state = PodState("uid-a", "ns", "a", "a", ("10.1.0.1",), "/run/netns/a")
    world = project(Mesh(world.mesh.settings, world.mesh.workloads, two, {}), NodeState("n", (state,)))
    bundle = node.translate(world, Options(eager=2))
    assert sum(name.startswith(names.ON_DEMAND) for name in bundle.of(names.CLUSTER)) == 4


def test_an_early_cluster_equals_the_answer_on_demand() -> None:
    world = view()
    name = names.on_demand("10.2.0.0", 80)
    assert node.translate(world).of(names.CLUSTER)[name] is node.destination_resource(world, name)


@pytest.mark.parametrize("name", ["out|10.99.0.1:1", "out|nonsense", "anything"])
def test_every_on_demand_name_is_answered(name: str) -> None:
    assert node.destination_resource(view(), name).name == name


def test_a_service_port_nobody_serves_is_refused_not_passed_on() -> None:
    cluster = node.destination_cluster(view(), names.on_demand("10.2.0.0", 81))
    assert cluster["load_assignment"]["endpoints"] == []


def entry(*workloads: Workload, address: str = "240.240.0.9") -> NodeView:
    """A view with one service outside the cluster and these workloads behind it."""
    service = Service("e", "ns", "e.test", (NetworkAddress(address),), (Port(80, 8080),))
    mesh = Mesh(
        Settings(ranges=("10.0.0.0/8", "240.240.0.0/16")), {w.uid: w for w in workloads}, {service.key: service}
    )
    return project(mesh, NodeState("n", (PodState("uid-a", "ns", "a", "a", ("10.1.0.1",), "/run/netns/a"),)))


def behind(uid: str, *addresses: str, **more: Any) -> Workload:
    return Workload(uid, uid, "ns", addresses, services=(Membership("ns/e.test", (Port(80, 8080),)),), **more)


def test_an_endpoint_that_is_a_name_is_looked_up_when_somebody_asks_and_not_before() -> None:
    found = entry(behind("w", hostname="db.example.test"))
    cluster = node.destination_cluster(found, names.on_demand("240.240.0.9", 80))
    assert cluster["type"] == "STRICT_DNS"
    (end,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert end["endpoint"]["address"]["socket_address"] == {"address": "db.example.test", "port_value": 8080}
    assert names.on_demand("240.240.0.9", 80) not in node.translate(found).of(names.CLUSTER)
    assert names.on_demand("240.240.0.9", 80) in node.translate(entry(behind("w", "10.3.0.1"))).of(names.CLUSTER)


def test_names_give_way_to_tunnels_which_a_cluster_that_looks_up_cannot_hold() -> None:
    found = entry(behind("w", hostname="db.example.test"), behind("v", "10.3.0.1", tunnel="hbone"))
    cluster = node.destination_cluster(found, names.on_demand("240.240.0.9", 80))
    assert cluster["type"] == "STATIC"
    assert len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 1


def test_addresses_outside_the_ranges_have_a_chain_of_their_own() -> None:
    def chains(view: NodeView) -> dict[str, Any]:
        (listener,) = (d for d in node.documents(view)["listeners"] if d["name"] == names.outbound_listener("uid-a"))
        return {chain["name"]: chain.get("filter_chain_match") for chain in listener["filter_chains"]}

    assert "beyond" not in chains(entry())
    assert chains(entry(address="192.0.2.1"))["beyond"] == {
        "prefix_ranges": [{"address_prefix": "192.0.2.1", "prefix_len": 32}]
    }
    assert chains(entry())["mesh"] == chains(entry(address="192.0.2.1"))["mesh"]
