"""A restarted agent tells Envoy nothing before it knows what a former one served."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from plait.app.configuration import Configuration
from plait.app.served import Served
from plait.app.snapshot import Snapshot
from plait.envoy import names
from plait.envoy.options import Options
from plait.model.mesh import Settings
from plait.model.views.node import PodState
from plait.proxy.certs import Certificates
from plait.wds import messages as wds


class NoCertificates:
    def __init__(self) -> None:
        self.wanted: set[str] = set()

    def want(self, identities: set[str]) -> None:
        self.wanted = identities

    def secrets(self, root: str) -> dict[str, Any]:
        return {}


def begun(tmp_path: Path) -> tuple[Configuration, NoCertificates]:
    (tmp_path / "netns").touch()
    pods = [PodState(uid, "n", uid, "default", (address,), str(tmp_path / space)) for uid, address, space in PODS]
    Served(tmp_path / "served").save(pods)
    options, snapshot = Options(access_log="/dev/null"), Snapshot(tmp_path / "s")
    config = Configuration("n1", Settings(), snapshot, options, Served(tmp_path / "served"))
    certificates = NoCertificates()
    config.begin(cast(Certificates, certificates))
    return config, certificates


PODS = [("here", "10.0.0.1", "netns"), ("gone", "10.0.0.2", "no such file"), ("left", "10.0.0.3", "netns")]


async def test_envoy_hears_nothing_until_both_kinds_of_the_workload_stream_are_known(tmp_path: Path) -> None:
    config, certificates = begun(tmp_path)
    await asyncio.sleep(0.02)
    assert not config.filled.is_set() and certificates.wanted == {"spiffe://cluster.local/ns/n/sa/default"}
    config.on_delta(wds.ADDRESS_TYPE, (), ())
    await asyncio.sleep(0.02)
    assert not config.filled.is_set()
    config.on_delta(wds.AUTHORIZATION_TYPE, (), ())
    async with asyncio.timeout(5):
        await config.filled.wait()
    listeners = config.cache.of(names.LISTENER)
    assert names.outbound_listener("here") in listeners and names.outbound_listener("gone") not in listeners


async def test_pods_that_left_the_node_meanwhile_are_forgotten_on_disk_too(tmp_path: Path) -> None:
    config, _ = begun(tmp_path)
    config.forget_others(["here"])
    assert Served(tmp_path / "served").load().keys() == {"here"}


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x93abc"])
def test_a_damaged_list_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "served").write_bytes(content)
    assert Served(tmp_path / "served").load() == {}
