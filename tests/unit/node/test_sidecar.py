"""Capture of pods with a sidecar, in namespaces of the test's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.base import aio, netns
from plait.local import preflight
from plait.node import netfilter, routing, rules, sidecar_rules
from plait.node.sidecar import Sidecars, Uncapturable, wanted
from plait.resources.redirection import BadAnnotation, Redirection

STATUS = "sidecar.istio.io/status"
root = pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: needs root")


def pod(uid: str = "u", **annotations: str) -> dict[str, Any]:
    notes = {STATUS: "{}", **{f"traffic.sidecar.istio.io/{name}": value for name, value in annotations.items()}}
    return {"metadata": {"uid": uid, "name": uid, "namespace": "shop", "annotations": notes}}


@pytest.fixture
def spaces() -> Iterator[tuple[Path, Path]]:
    """Of a node and of a pod."""
    found = (Path(f"/run/netns/plt-sn-{os.getpid()}"), Path(f"/run/netns/plt-sp-{os.getpid()}"))
    for path in found:
        netns.create(path)
    yield found
    for path in found:
        netns.remove(path)


def test_who_is_captured_for_a_sidecar() -> None:
    assert wanted(pod())
    assert not wanted({"metadata": {}})
    assert not wanted({"metadata": {"annotations": {STATUS: "{}", "inject.istio.io/templates": "gateway"}}})


@root
async def test_probes_of_its_pods_are_exempted_on_the_node_as_long_as_they_live(spaces: tuple[Path, Path]) -> None:
    node, space = spaces
    sidecars = Sidecars(node)
    await sidecars.attached(pod(), space, ("10.0.0.5",))
    saved = await netfilter.saved(node)
    assert "-A SIDECAR_POSTRT -d 10.0.0.5/32" in saved and "--to-source 169.254.7.127" in saved
    await sidecars.detaching("u")
    assert "SIDECAR_" not in await netfilter.saved(node)


@root
async def test_what_somebody_takes_away_is_put_back(spaces: tuple[Path, Path]) -> None:
    node, space = spaces
    sidecars = Sidecars(node, every=0.05)
    await sidecars.attached(pod(excludeInboundPorts="9090"), space, ("10.0.0.5",))
    task = aio.spawn(sidecars.run(), "run")
    try:
        await netfilter.command(space, "iptables", "-t", "nat", "-F")
        await netfilter.command(node, "iptables", "-t", "nat", "-F")
        async with asyncio.timeout(10):
            while "--dport 9090" not in await netfilter.saved(space) or "SNAT" not in await netfilter.saved(node):
                await asyncio.sleep(0.02)
    finally:
        await aio.cancel(task)


@root
async def test_a_transparent_one_gets_its_route_and_gets_it_back(spaces: tuple[Path, Path]) -> None:
    node, space = spaces
    transparent = pod()
    transparent["metadata"]["annotations"]["sidecar.istio.io/interceptionMode"] = "TPROXY"
    sidecars = Sidecars(node, every=0.05)
    await sidecars.attached(transparent, space, ("10.0.0.5",))
    route = sidecar_rules.route(Redirection(mode="TPROXY"))
    assert route is not None and routing.verify(space, route)
    task = aio.spawn(sidecars.run(), "run")
    try:
        routing.remove(space, route)
        async with asyncio.timeout(10):
            while not routing.verify(space, route):
                await asyncio.sleep(0.02)
    finally:
        await aio.cancel(task)


@root
@pytest.mark.skipif(bool(preflight.ipv6()), reason=preflight.ipv6())
async def test_a_pod_of_both_families_is_captured_in_both_and_so_are_its_probes(spaces: tuple[Path, Path]) -> None:
    node, space = spaces
    sidecars = Sidecars(node)
    await sidecars.attached(pod(), space, ("10.0.0.5", "fd00::5"))
    for family in rules.FAMILIES:
        assert await netfilter.verify(space, sidecar_rules.capture(Redirection(), family), family)
    assert "-A SIDECAR_POSTRT -d fd00::5/128" in await netfilter.saved(node, 6)
    assert "::6/128" in await netfilter.command(space, "ip", "-6", "address", "show", "dev", "lo")
    await sidecars.detaching("u")
    assert "SIDECAR_" not in await netfilter.saved(node, 6)


@root
@pytest.mark.skipif(bool(preflight.ipv6()), reason=preflight.ipv6())
async def test_a_pod_of_ipv4_alone_is_shut_to_ipv6_and_stays_so(spaces: tuple[Path, Path]) -> None:
    node, space = spaces
    sidecars = Sidecars(node, every=0.05)
    await sidecars.attached(pod(), space, ("10.0.0.5",))
    assert await netfilter.verify(space, rules.sealed(), 6)
    for words in ("link set lo up", "-6 address add fd00::5/128 dev lo scope global nodad"):
        await netfilter.command(space, "ip", *words.split())
    task = aio.spawn(sidecars.run(), "run")
    try:
        await netfilter.command(space, "ip6tables", "-t", "raw", "-F")
        async with asyncio.timeout(10):
            while not await netfilter.verify(space, rules.sealed(), 6):
                await asyncio.sleep(0.02)
    finally:
        await aio.cancel(task)


async def test_a_node_that_cannot_says_why() -> None:
    with pytest.raises(Uncapturable, match="pod shop/u has a sidecar: no root here"):
        await Sidecars(obstacle="no root here").attached(pod(), Path("/nowhere"), ("10.0.0.5",))


async def test_a_bad_annotation_that_passed_nobody_keeps_the_pod_from_starting() -> None:
    with pytest.raises(BadAnnotation, match="excludeInboundPorts"):
        await Sidecars().attached(pod(excludeInboundPorts="x"), Path("/nowhere"), ("10.0.0.5",))
