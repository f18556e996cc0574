"""The bootstrap of an L7 proxy: who it says it is, and that the real Envoy takes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import l7
from kit.envoys import validate
from plait.envoy.l7.bootstrap import ProxyBootstrap, bootstrap, node_id
from plait.model.locality import Locality


def wanted(directory: Path) -> ProxyBootstrap:
    proxy = l7.proxy("waypoint", "waypoint", locality=Locality("r1", "z1"))
    return ProxyBootstrap(proxy, str(directory / "xds.sock"), str(directory / "admin.sock"))


def test_a_gateway_says_router_as_other_control_planes_expect() -> None:
    assert node_id(l7.proxy("gateway", "edge")) == "router~10.64.3.1~edge.shop~shop.svc.cluster.local"


def test_patches_are_merged_into_the_bootstrap(tmp_path: Path) -> None:
    found = bootstrap(wanted(tmp_path), [{"stats_flush_interval": "1s", "node": {"cluster": "mine"}}])
    assert (found["stats_flush_interval"], found["node"]["cluster"]) == ("1s", "mine")
    assert found["node"]["locality"]["zone"] == "z1"


@pytest.mark.envoy
def test_envoy_takes_the_bootstrap(tmp_path: Path) -> None:
    validate(bootstrap(wanted(tmp_path)), tmp_path)
