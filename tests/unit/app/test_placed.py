"""What a node may have in the name of its pods."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from plait.app.placed import Placed, account

POOL = "plait-managed"
OWN = {"gateway.networking.k8s.io/gateway-name": "waypoint", "plait.dev/gateway-namespace": "shop"}


class Pods:
    """As much of an informer as is asked."""

    def __init__(self, *pods: d.Document) -> None:
        self._pods = pods

    def get(self, name: str, namespace: str = "") -> d.Document | None:
        return next(
            (p for p in self._pods if (p["metadata"]["name"], p["metadata"]["namespace"]) == (name, namespace)), None
        )

    def indexed(self, index: str, value: str) -> list[d.Document]:
        assert index == "account"
        return [each for each in self._pods if value in account(each)]


def pod(name: str, own: str, **labels: str) -> d.Document:
    found = d.pod(name, "10.0.0.1", POOL, labels=labels, account=own)
    found["metadata"]["uid"] = f"uid-of-{name}"
    found["spec"]["nodeName"] = "node-1"
    return found


def placed(*pods: d.Document, claims: dict[str, str] | None = None) -> Placed:
    found: Any = Pods(*pods)
    return Placed(found, lambda name: (claims or {}).get(name, ""))


def test_a_node_gets_what_its_pods_run_as() -> None:
    found = placed(pod("mine", "shop.waypoint", **OWN))
    assert found.runs("node-1", POOL, "shop.waypoint")
    assert not found.runs("node-2", POOL, "shop.waypoint")
    assert not found.runs("node-1", POOL, "bank.waypoint")


def test_a_warm_proxy_is_the_waypoint_that_the_account_names_it_for() -> None:
    found = placed(pod("warm-1", "warm", **OWN), claims={"shop.waypoint": "uid-of-warm-1"})
    assert found.runs("node-1", POOL, "shop.waypoint")
    assert found.entitled(POOL, "warm-1")


def test_labels_alone_which_a_node_may_write_give_neither_certificate_nor_configuration() -> None:
    found = placed(
        pod("warm-1", "warm", **OWN), claims={"shop.waypoint": "uid-of-another", "bank.waypoint": "uid-of-warm-1"}
    )
    assert not found.runs("node-1", POOL, "shop.waypoint")
    assert not found.entitled(POOL, "warm-1")


def test_one_that_is_nobodys_is_itself() -> None:
    found = placed(pod("warm-1", "warm"))
    assert found.entitled(POOL, "warm-1")
    assert not found.runs("node-1", POOL, "shop.waypoint")
