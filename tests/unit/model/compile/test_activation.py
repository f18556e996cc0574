"""A waypoint that sleeps is reached at its Service's address, as itself; a ready pod takes its place."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds
from plait.model.views.destinations import Destination
from plait.model.views.node import NodeState, project

OF_WAYPOINT = {"gateway.networking.k8s.io/gateway-name": "waypoint"}
OWN = d.service("waypoint", "10.9.0.9", port=15008, labels=OF_WAYPOINT, spec={"selector": OF_WAYPOINT})
CART = d.service("cart", "10.9.0.1", labels={"istio.io/use-waypoint": "waypoint"})
BACKEND = d.pod("cart-1", "10.0.0.4", labels={"app": "cart"})


def held(**annotations: str) -> d.Document:
    labels = {
        "kubernetes.io/service-name": "waypoint",
        "endpointslice.kubernetes.io/managed-by": "plait-activator",
        **OF_WAYPOINT,
    }
    endpoints = [{"addresses": ["10.0.255.1"], "conditions": {"ready": True}}]
    ports = [{"name": OWN["spec"]["ports"][0].get("name", ""), "port": 20001, "protocol": "TCP"}]
    metadata: dict[str, Any] = {
        "name": "waypoint-activator",
        "namespace": "shop",
        "labels": labels,
        "annotations": annotations,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


def proxy(ready: bool = True) -> d.Document:
    pod = d.pod("waypoint-1", "10.0.0.9", labels=OF_WAYPOINT, account="waypoint")
    if not ready:
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    return pod


def destination(*more: d.Document) -> Destination:
    world, _ = worlds.world(worlds.waypoint("waypoint", "shop"), OWN, CART, BACKEND, *more)
    return project(world, NodeState("node-1")).destination("10.9.0.1", CART["spec"]["ports"][0]["port"])


def test_without_an_activator_nobody_passes_a_waypoint_without_pods() -> None:
    assert destination().waypoint
    assert destination().endpoints == ()


def test_a_waypoint_that_sleeps_is_reached_at_the_address_of_its_service_and_must_be_itself() -> None:
    (end,) = destination(held(**{"gateway.istio.io/service-account": "own"})).endpoints
    assert end.tunnel
    assert end.via == "10.9.0.9:15008"
    assert end.identities == ("spiffe://cluster.local/ns/shop/sa/own",)


def test_a_pod_that_is_not_ready_changes_nothing_and_a_ready_one_takes_its_place() -> None:
    assert [end.via for end in destination(held(), proxy(ready=False)).endpoints] == ["10.9.0.9:15008"]
    assert [end.via for end in destination(held(), proxy()).endpoints] == ["10.0.0.9:15008"]


def test_the_activator_itself_is_no_workload() -> None:
    world, _ = worlds.world(worlds.waypoint("waypoint", "shop"), OWN, held())
    assert not any("10.0.255.1" in each.addresses for each in world.workloads.values())
    (asleep,) = world.workloads.values()
    assert world.l7.instances[asleep.uid].gateway == "shop/waypoint"
