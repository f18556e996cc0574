"""Services and workloads behind a waypoint: which address node proxies are told, and when none."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds
from plait.model.mesh import GatewayAddress, NetworkAddress
from plait.model.views.destinations import Destination
from plait.model.views.node import NodeState, PodState, project

USE = {"istio.io/use-waypoint": "waypoint"}
OF_WAYPOINT = {"gateway.networking.k8s.io/gateway-name": "waypoint"}
OWN = d.service("waypoint", "10.9.0.9", port=15008, labels=OF_WAYPOINT, spec={"selector": OF_WAYPOINT})
CART = d.service("cart", "10.9.0.1", labels=USE)
POD = d.pod("cart-1", "10.0.0.4", labels={"app": "cart"})
KEY = "shop/cart.shop.svc.cluster.local"
BEHIND = GatewayAddress("shop/waypoint.shop.svc.cluster.local")


def waypoint(**rest: Any) -> d.Document:
    return worlds.waypoint("waypoint", "shop", **rest)


def test_a_service_is_behind_its_waypoint_s_service() -> None:
    mesh, _ = worlds.world(waypoint(), OWN, CART, POD)
    assert mesh.services[KEY].waypoint == BEHIND
    assert mesh.workloads["Kubernetes//Pod/shop/cart-1"].waypoint is None


def test_a_waypoint_without_an_address_stands_before_nobody() -> None:
    assert worlds.world(waypoint(), CART)[0].services[KEY].waypoint is None
    assert worlds.world(OWN, CART)[0].services[KEY].waypoint is None, "there is no such Gateway"


def test_the_address_of_the_gateway_s_status_counts_when_it_has_no_service() -> None:
    written = {**waypoint(), "status": {"addresses": [{"type": "IPAddress", "value": "10.9.0.77"}]}}
    mesh, _ = worlds.world(written, CART)
    assert mesh.services[KEY].waypoint == GatewayAddress(address=NetworkAddress("10.9.0.77"))


def test_a_pod_is_behind_a_waypoint_for_workloads() -> None:
    labels = {"istio.io/waypoint-for": "workload"}
    pod = d.pod("cart-1", "10.0.0.4", labels={"app": "cart", **USE})
    mesh, _ = worlds.world(waypoint(labels=labels), OWN, pod, CART)
    assert mesh.workloads["Kubernetes//Pod/shop/cart-1"].waypoint == BEHIND
    assert mesh.services[KEY].waypoint is None


def test_a_waypoint_is_not_behind_itself() -> None:
    own = d.service("waypoint", "10.9.0.9", port=15008)
    mesh, _ = worlds.world(waypoint(), own, worlds.namespace("shop", **USE), d.service("cart", "10.9.0.1"))
    assert mesh.services[BEHIND.service].waypoint is None
    assert mesh.services[KEY].waypoint == BEHIND
    mesh, _ = worlds.world(waypoint(), OWN, worlds.namespace("shop", **USE), d.service("cart", "10.9.0.1"))
    assert mesh.l7.services[BEHIND.service].waypoint == ""


@pytest.mark.parametrize("running", [True, False])
def test_node_proxies_send_through_the_waypoint_or_not_at_all(running: bool) -> None:
    pods = (worlds.gateway_pod("waypoint-1", "10.4.0.1", "waypoint"),) if running else ()
    mesh, _ = worlds.world(waypoint(), OWN, CART, POD, *pods)
    state = NodeState("n1", (PodState("u", "shop", "x", "default", ("10.0.0.1",), "/run/netns/x"),))
    found: Destination = project(mesh, state).destination("10.9.0.1", 80)
    assert found.waypoint
    assert [each.via for each in found.endpoints] == (["10.4.0.1:15008"] if running else [])
