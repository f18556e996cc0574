"""What the operator of the pool settles, and who fits in."""

from __future__ import annotations

import pytest

from plait.deploy.pool import Pool, Quota, most, network_policy, read, refused


def test_nothing_settled_is_the_usual() -> None:
    assert read("") == Pool()


def test_a_namespace_has_its_own_quota_and_what_it_does_not_say_is_everybodys() -> None:
    text = "waypoints: 2\nwarm: 3\nnodes: {plait.dev/node-class: edge}\nnamespaces: {shop: {replicas: 3}}"
    found = read(text)
    assert isinstance(found, Pool)
    assert (found.of("shop"), found.of("bank")) == (Quota(2, 3), Quota(2, 20))
    assert found.nodes == {"plait.dev/node-class": "edge"}
    assert found.warm == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("waypoints: many", 'waypoints: "many" is not a number; write 0 or more'),
        ("waypoint: 1", "waypoint: there is no such field; known are waypoints, replicas, warm, nodes, namespaces"),
        ("warm: -1", 'warm: "-1" is not a number of proxies; write 0 to 100'),
        ("nodes: [edge]", "nodes: write labels, for example {plait.dev/node-class: edge}"),
        ("namespaces: {shop: 1}", "namespaces.shop: write a mapping, for example {waypoints: 1}"),
        ("namespaces: {shop: {replicas: -1}}", 'namespaces.shop: replicas: "-1" is not a number; write 0 or more'),
    ],
)
def test_what_cannot_be_read_is_said_with_what_would_be_right(text: str, told: str) -> None:
    assert read(text) == told


def test_one_more_fits_until_the_quota_is_used_up_and_a_refusal_says_the_way_out() -> None:
    quota = Quota(waypoints=2, replicas=4)
    assert refused("shop", quota, {"one": 3}, 1) == ""
    few = refused("shop", quota, {"one": 1, "other": 1}, 1)
    assert few.startswith("namespace shop may have 2 managed waypoints and has one, other; delete one")
    many = refused("shop", quota, {"one": 3}, 2)
    assert many.startswith("namespace shop may run 4 managed proxies, 3 are taken and 2 asked for; lower")
    assert "ConfigMap plait-managed/pool" in many


def test_a_waypoint_grows_into_what_the_others_leave_and_keeps_what_it_was_promised() -> None:
    quota = Quota(replicas=10)
    assert most(quota, {"one": 4}, 1) == 6
    assert most(quota, {"one": 12}, 2) == 2


def test_only_the_tunnel_and_held_connections_come_in() -> None:
    spec = network_policy("10.0.0.2")["spec"]
    tunnel, held = spec["ingress"]
    assert [each["port"] for each in tunnel["ports"]] == [15008]
    assert (held["from"], held["ports"][0]["port"]) == ([{"ipBlock": {"cidr": "10.0.0.2/32"}}], 15009)
