"""The cheapest mode that keeps what is bound, by traffic and by what a core costs in memory."""

from __future__ import annotations

from kit import documents as d
from kit.worlds import sidecar_pod, world
from plait.app.migration.advice import Advice, advise
from plait.app.migration.traffic import Traffic
from plait.model.mesh import Mesh

SERVICE = d.service("cart", "10.96.0.5")


def policy(**spec: object) -> d.Document:
    whole = {"action": "DENY", "rules": [{"to": [{"operation": {"paths": ["/x"]}}]}], **spec}
    return d.document("security.istio.io/v1", "AuthorizationPolicy", "paths", spec=whole)


BY_TARGET = policy(targetRefs=[{"group": "", "kind": "Service", "name": "cart"}])
BY_SELECTOR = policy(selector={"matchLabels": {"app": "cart"}})


def sidecars(count: int, *documents: d.Document) -> Mesh:
    owner = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-abc", "uid": "", "controller": True}]
    pods = [
        sidecar_pod(
            f"cart-abc-{number}",
            f"10.0.0.{number}",
            labels={"app": "cart", "pod-template-hash": "abc"},
            ownerReferences=owner,
        )
        for number in range(1, count + 1)
    ]
    return world(SERVICE, *pods, *documents)[0]


def of(mesh: Mesh, measured: Traffic = Traffic(), core: float = 8192.0) -> Advice:
    (found,) = advise(mesh, {("shop", "cart"): measured}, "shop", core)
    assert found.name == "cart"
    return found


def test_without_http_policies_the_node_proxy_is_enough() -> None:
    found = of(sidecars(3), Traffic(requests_in=1000.0))
    assert (found.mode, found.best, found.then.waypoint) == ("sidecar", "ambient", False)
    assert found.now.megabytes == 42.0 and found.then.megabytes == 0.0
    assert found.now.millicores == 500.0 and found.then.millicores == 220.0


def test_a_waypoint_is_cheaper_for_many_pods_and_dearer_for_much_traffic() -> None:
    few = of(sidecars(10, BY_TARGET), Traffic(requests_in=10.0))
    assert (few.best, few.then.waypoint) == ("ambient", True)
    busy = of(sidecars(2, BY_TARGET), Traffic(requests_in=1000.0))
    assert (busy.best, busy.now) == ("sidecar", busy.then)


def test_what_a_core_costs_decides() -> None:
    mesh, measured = sidecars(4, BY_TARGET), Traffic(requests_in=100.0)
    assert of(mesh, measured, core=100.0).best == "ambient"
    assert of(mesh, measured, core=100_000.0).best == "sidecar"


def test_a_policy_that_only_a_sidecar_can_keep_keeps_the_sidecar_and_says_how_not_to() -> None:
    found = of(sidecars(10, BY_SELECTOR))
    assert found.best == "sidecar" and "targetRefs" in found.instead


def test_who_is_outside_the_mesh_stays_there() -> None:
    pod = d.pod("cart-1", "10.0.0.1", labels={"app": "cart"}, captured=False)
    (found,) = advise(world(SERVICE, pod)[0], {}, "shop")
    assert (found.mode, found.best) == ("none", "none")
