"""Rules about the translation of a node that a golden file shows but does not explain."""

from __future__ import annotations

from typing import Any

import pytest

from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node
from plait.model.mesh import Mesh, NetworkAddress, Port, Service, Settings, Workload
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
