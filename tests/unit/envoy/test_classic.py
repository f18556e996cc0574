"""Shared listeners of node-level capture: chains by pod, and changes that are chains only."""

from __future__ import annotations

from typing import Any

from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node as role
from plait.model.mesh import Mesh, Settings, Workload
from plait.model.views.node import NodeState, PodState, project

OPTIONS = Options(shared_netns="/run/netns/x-zt")
CHAINS = ("filter_chains", "filter_chain_matcher", "default_filter_chain")


def listeners(*pods: str, dual: bool = False) -> dict[str, dict[str, Any]]:
    def addresses(pod: str) -> tuple[str, ...]:
        return (f"10.99.1.{pod}", f"fd99::{pod}") if dual else (f"10.99.1.{pod}",)

    workloads = {
        f"Kubernetes//Pod/shop/{p}": Workload(
            f"Kubernetes//Pod/shop/{p}", name=p, namespace="shop", addresses=addresses(p), service_account=p
        )
        for p in pods
    }
    states = tuple(PodState(f"uid-{p}", "shop", p, p, addresses(p), "") for p in pods)
    ranges = ("10.99.0.0/16", "fd99::/64") if dual else ("10.99.0.0/16",)
    view = project(Mesh(Settings(ranges=ranges), workloads), NodeState("n", states))
    return {each["name"]: each for each in role.documents(view, OPTIONS)["listeners"]}


def test_a_pod_that_comes_changes_chains_only_and_no_chain_of_another_pod() -> None:
    one, two = listeners("5"), listeners("5", "6")
    assert set(one) == set(two) == {"outbound", "hbone", "inbound", names.TUNNEL_LISTENER}
    for name, before in one.items():
        rest = {key: value for key, value in before.items() if key not in CHAINS}
        assert rest == {key: value for key, value in two[name].items() if key not in CHAINS}
        after = {chain["name"]: chain for chain in two[name]["filter_chains"]}
        assert all(after[chain["name"]] == chain for chain in before["filter_chains"])


def test_an_address_without_a_chain_gets_nowhere() -> None:
    made = listeners("5")
    assert all("default_filter_chain" not in made[name] for name in ("outbound", "hbone", "inbound"))
    assert made["inbound"]["filter_chain_matcher"]["on_no_match"]["action"]["name"] == "refused"
    for chain in made["outbound"]["filter_chains"]:
        assert chain["name"] == "probe" or chain["filter_chain_match"]["source_prefix_ranges"]


def test_the_pool_key_is_the_pods_own_address_and_no_namespace_is_overridden() -> None:
    text = str(listeners("5", "6"))
    assert names.FS_NETNS not in text
    for chain in listeners("5", "6")["outbound"]["filter_chains"]:
        if chain["name"].startswith("mesh|"):
            states = chain["filters"][0]["typed_config"]["on_new_connection"]
            keyed = [s for s in states if s["factory_key"] == "envoy.hashable_string"]
            assert [s["object_key"] for s in keyed] == [names.FS_ORIGIN]
            assert (
                chain["name"].removeprefix("mesh|uid-")
                in keyed[0]["format_string"]["text_format_source"]["inline_string"]
            )


def test_with_both_families_the_same_chains_are_reached_by_either_and_pods_change_nothing_else() -> None:
    one, two = listeners("5", dual=True), listeners("5", "6", dual=True)
    for name in ("outbound", "hbone", "inbound"):
        more = [each["address"]["socket_address"]["address"] for each in one[name]["additional_addresses"]]
        assert more == ["::1"] and one[name]["additional_addresses"] == two[name]["additional_addresses"]
    sources = [
        [each["address_prefix"] for each in chain["filter_chain_match"]["source_prefix_ranges"]]
        for chain in one["outbound"]["filter_chains"]
        if chain["name"] != "probe"
    ]
    assert sources and all(each == ["10.99.1.5", "fd99::5"] for each in sources)
    tree = one["inbound"]["filter_chain_matcher"]["matcher_tree"]["exact_match_map"]["map"]
    assert set(tree) == {"10.99.1.5", "fd99::5"} and tree["10.99.1.5"] == tree["fd99::5"]
    # The tunnel begins at the address that the client used, so never at one of the other family than its peer's.
    states = str(next(c for c in one["outbound"]["filter_chains"] if c["name"].startswith("mesh|")))
    assert "%DOWNSTREAM_REMOTE_ADDRESS%" in states and "10.99.1.5:0" not in states
