"""The same pods, pairs and policies in every state; only the way into the mesh differs."""

from __future__ import annotations

from typing import Any

import pytest

from plait.resources import documents as reading
from plait.trial.bench_fuse import worlds
from plait.trial.bench_fuse.worlds import State, member, pairs, states, with_l7, workloads

STATES = {each.key: each for each in states((0.1, 1.0))}


def kinds(state: State, pods: int = 10) -> list[tuple[str, str]]:
    return [(each["kind"], each["metadata"]["name"]) for each in worlds.documents(state, pods)]


def labels(state: State, kind: str, name: str) -> dict[str, Any]:
    (found,) = (
        each["metadata"].get("labels", {})
        for each in worlds.documents(state, 10)
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return dict(found)


def test_states_are_those_of_the_experiment() -> None:
    assert list(STATES) == ["M0", "M1", "M2", "M3(10%)", "M3(100%)", "M4"]


def test_every_service_is_called_and_every_call_crosses_between_the_nodes() -> None:
    node = {each.name: each.node for each in workloads(3)}
    assert len(node) == 6
    assert sorted(server for _, server in pairs(3)) == sorted(client for client, _ in pairs(3)) == sorted(node)
    assert all(node[client] != node[server] for client, server in pairs(3))


@pytest.mark.parametrize("key", STATES)
def test_pods_and_services_are_the_same_in_every_state(key: str) -> None:
    same = [each for each in kinds(STATES[key]) if each[0] in ("Pod", "Service", "ServiceAccount")]
    assert same == [each for each in kinds(STATES["M0"]) if each[0] in ("Pod", "Service", "ServiceAccount")]
    assert len(same) == 3 * 20 + 1


def test_the_mesh_has_the_same_policies_with_sidecars_and_with_a_waypoint() -> None:
    def policies(key: str) -> list[tuple[str, str]]:
        return [each for each in kinds(STATES[key]) if each[0] in ("AuthorizationPolicy", "PeerAuthentication")]

    assert policies("M1") == policies("M3(10%)") and len(policies("M1")) == 2 + 2
    assert policies("M0") == [] and len(policies("M3(100%)")) == 2 + 20
    assert policies("M2") == [("PeerAuthentication", "strict"), ("AuthorizationPolicy", "own-only")]


def test_a_waypoint_is_before_the_services_with_an_l7_policy_and_no_others() -> None:
    state = STATES["M3(10%)"]
    behind = {name for _, name in pairs(10) if labels(state, "Service", name)}
    assert behind == set(with_l7(state, 10)) and len(behind) == 2
    assert not any(labels(STATES["M1"], "Service", name) for _, name in pairs(10))


def test_a_share_is_at_least_one_service_and_at_most_all() -> None:
    assert len(with_l7(STATES["M3(10%)"], 1)) == 1
    assert len(with_l7(STATES["M3(100%)"], 3)) == 6
    assert with_l7(STATES["M2"], 10) == ()


def test_in_the_mixed_state_every_pair_of_modes_meets_and_l7_is_where_a_sidecar_is() -> None:
    mixed = STATES["M4"]
    mode = {each.name: member(mixed, each) for each in workloads(10)}
    assert {(mode[client], mode[server]) for client, server in pairs(10)} == {
        (a, b) for a in ("sidecar", "ambient") for b in ("sidecar", "ambient")
    }
    assert {mode[name] for name in with_l7(mixed, 10)} == {"sidecar"}
    half = [each for each in mode.values() if each == "sidecar"]
    assert 8 <= len(half) <= 12


def test_the_outsider_has_no_proxy_in_any_state() -> None:
    for state in STATES.values():
        assert labels(state, "Pod", worlds.OUTSIDER)["istio.io/dataplane-mode"] == "none"


@pytest.mark.parametrize("key", STATES)
def test_documents_are_such_as_users_could_write(key: str) -> None:
    import yaml

    text = yaml.safe_dump_all(worlds.documents(STATES[key], 2))
    read, problems = reading.read(text, key)
    assert not problems and len(read) == len(worlds.documents(STATES[key], 2))
