from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from plait.local.controllers.loadbalancers import reconcile
from plait.local.controllers.writes import Patch

RANGE = IPv4Network("10.64.192.0/20")


def balanced(ingress: list[str], *families: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"type": "LoadBalancer", "ipFamilies": list(families), "loadBalancerIP": "10.64.192.5"},
        "status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"} for address in ingress]}},
    }


def given(service: dict[str, Any]) -> list[str] | None:
    """The addresses that are written; None when nothing is."""
    writes = [write for write in reconcile([service], RANGE) if isinstance(write, Patch)]
    return [entry["ip"] for entry in writes[0].body["status"]["loadBalancer"]["ingress"]] if writes else None


def test_a_balancer_has_an_address_of_each_family_of_its_service() -> None:
    assert given(balanced([], "IPv4")) == ["10.64.192.5"]
    assert given(balanced([], "IPv4", "IPv6")) == ["10.64.192.5", "fd70:6c61:6974:40c0::5"]
    assert given(balanced([], "IPv6")) == ["fd70:6c61:6974:40c0::5"]


def test_an_address_stays_when_a_family_comes_or_goes() -> None:
    both = ["10.64.192.5", "fd70:6c61:6974:40c0::5"]
    assert given(balanced(both, "IPv4", "IPv6")) is None
    assert given(balanced(both[1:], "IPv6")) is None
    assert given(balanced(both[:1], "IPv4", "IPv6")) == both
    assert given(balanced(both, "IPv4")) == both[:1]
