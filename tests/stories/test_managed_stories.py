"""Stories of managed waypoints: they do what those of the namespace do, as somebody else, and nobody becomes one."""

from __future__ import annotations

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.base.wellknown import GATEWAY_NAME, GATEWAY_NAMESPACE, PLACEMENT, POOL_NAMESPACE
from plait.model import guard
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.views.asking import proxy_of

USE = {"istio.io/use-waypoint": "waypoint"}
CART = d.service("cart", "10.9.0.1", labels=USE)
POD = d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}, account="cart")
DOOR = d.service("waypoint", "10.9.0.9", labels={GATEWAY_NAME: "waypoint"})
MANAGED = l7.waypoint(infrastructure={"annotations": {PLACEMENT: "managed"}})
OWN, POOLED = "cluster.local/ns/shop/sa/waypoint", f"cluster.local/ns/{POOL_NAMESPACE}/sa/shop.waypoint"
DENY = {
    "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
    "action": "DENY",
}
POLICY = d.allow("get", [{"to": [{"operation": {"methods": ["POST"]}}]}], spec=DENY)
AT_THE_DOOR = d.allow("door", [{}], spec={"selector": {"matchLabels": {GATEWAY_NAME: "waypoint"}}, "action": "DENY"})


def pooled(
    name: str = "shop.waypoint-1", owner: str = "shop", account: str = "", address: str = "10.4.0.2"
) -> d.Document:
    labels = {GATEWAY_NAME: "waypoint", GATEWAY_NAMESPACE: owner}
    return d.pod(name, address, POOL_NAMESPACE, labels=labels, account=account or f"{owner}.waypoint")


def running(name: str = "waypoint-1", address: str = "10.4.0.1") -> d.Document:
    return l7.gateway_pod(name, address, "waypoint", account="waypoint")


def listed(*pods: d.Document) -> d.Document:
    """The slice that leads from the Service to pods of the pool."""
    labels = {"kubernetes.io/service-name": "waypoint", "endpointslice.kubernetes.io/managed-by": "plait-pool"}
    found = d.document("discovery.k8s.io/v1", "EndpointSlice", "waypoint-pool", labels=labels)
    ends = [
        {
            "addresses": [pod["status"]["podIP"]],
            "targetRef": {"kind": "Pod", "namespace": POOL_NAMESPACE, "name": pod["metadata"]["name"]},
        }
        for pod in pods
    ]
    ports = [{"name": "http", "port": 15008, "protocol": "TCP"}]
    return {**found, "addressType": "IPv4", "endpoints": ends, "ports": ports}


def taken(mesh: Mesh) -> tuple[str, ...]:
    """Whom the guards let in as the waypoint."""
    return guard.identities(mesh.l7, mesh.workloads, mesh.settings)["shop/waypoint"]


def proxy(mesh: Mesh, pod: str, namespace: str) -> Proxy:
    found = proxy_of(mesh, f"Kubernetes//Pod/{namespace}/{pod}")
    assert found is not None
    return found


def test_it_is_itself_and_works_for_its_gateways_namespace() -> None:
    mesh, _ = l7.world(MANAGED, pooled(), CART, POD)
    found = proxy(mesh, "shop.waypoint-1", POOL_NAMESPACE)
    assert (found.role, found.namespace, found.gateway) == ("waypoint", "shop", "shop/waypoint")
    assert found.identity == f"spiffe://{POOLED}"


def test_it_is_told_what_one_of_the_namespace_is_told_policies_by_selector_included() -> None:
    own, _ = l7.world(l7.waypoint(), running(), CART, POD, POLICY, AT_THE_DOOR)
    managed, _ = l7.world(MANAGED, pooled(), CART, POD, POLICY, AT_THE_DOOR)
    one, other = l7.behind(own, "waypoint-1"), l7.behind(managed, "shop.waypoint-1", POOL_NAMESPACE)
    assert other.services == one.services
    assert other.enforced == one.enforced
    assert [policy.name for policy in other.l4] == [policy.name for policy in one.l4] == ["door"]


def test_guards_take_it_for_the_waypoint_and_nobody_of_the_namespace() -> None:
    mesh, _ = l7.world(MANAGED, pooled(), CART, POD, POLICY)
    assert taken(mesh) == (POOLED,)


def test_while_it_moves_both_are_taken_for_it() -> None:
    mesh, _ = l7.world(MANAGED, pooled(), running(), CART, POD, POLICY)
    assert taken(mesh) == (POOLED, OWN)
    back, _ = l7.world(l7.waypoint(), pooled(), running(), CART, POD, POLICY)
    assert taken(back) == (POOLED, OWN)
    settled, _ = l7.world(l7.waypoint(), running(), CART, POD, POLICY)
    assert taken(settled) == (OWN,)


def test_a_config_map_of_parameters_places_it_too() -> None:
    reference = {"group": "", "kind": "ConfigMap", "name": "params"}
    params = {**d.document("v1", "ConfigMap", "params"), "data": {"operation": "placement: managed"}}
    mesh, _ = l7.world(l7.waypoint(infrastructure={"parametersRef": reference}), params, CART, POD)
    assert taken(mesh) == (POOLED,)


@pytest.mark.parametrize(
    "other",
    [
        d.pod("liar", "10.4.0.9", "bank", labels={GATEWAY_NAME: "waypoint", GATEWAY_NAMESPACE: "shop"}, account="liar"),
        pooled("bank.waypoint-1", "bank", address="10.4.0.9"),
        pooled("liar", "shop", account="bank.waypoint", address="10.4.0.9"),
    ],
    ids=["a pod of another namespace that says so", "another tenant's waypoint", "its label and another's account"],
)
def test_nobody_else_is_taken_for_it(other: d.Document) -> None:
    mesh, _ = l7.world(MANAGED, pooled(), other, CART, POD, POLICY)
    assert taken(mesh) == (POOLED,)


def test_a_tenant_is_told_nothing_of_another() -> None:
    bank = l7.waypoint("waypoint", "bank", infrastructure={"annotations": {PLACEMENT: "managed"}})
    vault = d.service("vault", "10.9.0.7", "bank", labels=USE)
    mesh, _ = l7.world(MANAGED, bank, pooled(), pooled("bank.waypoint-1", "bank", address="10.4.0.3"), CART, POD, vault)
    assert "vault" not in str(l7.behind(mesh, "shop.waypoint-1", POOL_NAMESPACE))
    assert "vault" in str(l7.behind(mesh, "bank.waypoint-1", POOL_NAMESPACE))


def test_clients_are_led_to_it_by_the_slice_and_expect_its_identity() -> None:
    mesh, _ = l7.world(MANAGED, pooled(), listed(pooled()), DOOR, CART, POD, l7.sidecar_pod("web", "10.0.0.1"))
    upstream = next(u for u in l7.seen_by(mesh, "web").upstreams if u.service == "cart")
    assert [(e.via, e.identities) for e in upstream.endpoints] == [("10.4.0.2:15008", (f"spiffe://{POOLED}",))]
    (member,) = mesh.workloads[f"Kubernetes//Pod/{POOL_NAMESPACE}/shop.waypoint-1"].services
    assert member.service.startswith("shop/waypoint.")
