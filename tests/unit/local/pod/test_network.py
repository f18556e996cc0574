"""Addresses of a node's pods: none twice, none of a released one at once, unless a pod names it."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from plait.local.pod import network as podnet
from plait.local.pod.network import Addresses

NETWORK = IPv4Network("10.64.1.0/24")


@pytest.fixture
def addresses(tmp_path: Path) -> Addresses:
    return Addresses(tmp_path / "addresses.json", NETWORK)


def test_a_released_address_comes_last(addresses: Addresses) -> None:
    first, second = addresses.take("a"), addresses.take("b")
    addresses.release("a")
    assert len({first, second, addresses.take("c")}) == 3


def test_a_restarted_kubelet_knows_whose_addresses_are_whose(addresses: Addresses, tmp_path: Path) -> None:
    mine = addresses.take("a")
    again = Addresses(tmp_path / "addresses.json", NETWORK)
    assert again.take("a") == mine and again.take("b") != mine


async def test_a_pod_gets_the_address_that_it_names_and_keeps_it(addresses: Addresses) -> None:
    assert await addresses.take_this("a", "10.64.1.77") == IPv4Address("10.64.1.77")
    assert await addresses.take_this("a", "10.64.1.78") == IPv4Address("10.64.1.77")
    assert addresses.take("a") == IPv4Address("10.64.1.77")


async def test_a_named_address_goes_over_in_the_moment_it_is_released(addresses: Addresses) -> None:
    await addresses.take_this("old", "10.64.1.77")
    waiting = [asyncio.ensure_future(addresses.take_this(uid, "10.64.1.77")) for uid in ("new", "newer")]
    await asyncio.sleep(0)
    addresses.release("old")
    await asyncio.sleep(0.01)
    assert [each.done() for each in waiting] == [True, False]
    addresses.release("new")
    assert await waiting[1] == IPv4Address("10.64.1.77")


async def test_an_address_that_stays_taken_is_an_error_that_names_it(
    addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(podnet, "_HELD_SECONDS", 0.01)
    await addresses.take_this("old", "10.64.1.77")
    with pytest.raises(LookupError, match=r"another pod has 10\.64\.1\.77"):
        await addresses.take_this("new", "10.64.1.77")


@pytest.mark.parametrize("wanted", ["10.64.1.0", "10.64.1.1", "10.64.1.255", "10.64.2.5", "fd00::1", "nonsense"])
async def test_an_address_that_is_not_the_nodes_is_refused(addresses: Addresses, wanted: str) -> None:
    with pytest.raises(LookupError, match=r"say 10\.64\.1\.2 to 10\.64\.1\.254"):
        await addresses.take_this("a", wanted)
