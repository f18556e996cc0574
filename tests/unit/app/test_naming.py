"""Whose names are captured, and whose resolver answers whom."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plait.app import naming
from plait.app.naming import Naming
from plait.base.wellknown import DNS_CAPTURE
from plait.node.forms import Target

SPACE = Path("/proc/self/ns/net")


def target(name: str, *addresses: str, dns: bool = True) -> Target:
    return Target(name, "shop", name, "default", SPACE, addresses, dns)


@pytest.mark.parametrize("said,default,wanted", [("false", True, False), ("True", False, True), ("", False, False)])
def test_a_pod_s_annotation_is_above_the_mesh_s_setting(said: str, default: bool, wanted: bool) -> None:
    pod = {"metadata": {"annotations": {DNS_CAPTURE: said}}}
    assert naming.captured(pod, default) is wanted
    assert naming.captured({"metadata": {}}, default) is default


class Noted:
    """Listeners and resolvers that note what they are asked."""

    def __init__(self, notes: list[str], what: str) -> None:
        self._notes, self._what = notes, what

    async def serve(self, target: Target) -> None:
        self._notes.append(f"{self._what} serve {target.name}")

    async def withdraw(self, target: Target) -> None:
        self._notes.append(f"{self._what} withdraw {target.name}")

    async def close(self) -> None:
        self._notes.append(f"{self._what} close")


def test_a_pod_is_served_by_a_resolver_only_where_its_names_are_captured() -> None:
    notes: list[str] = []

    async def body() -> None:
        served = Naming(Noted(notes, "proxy"), Noted(notes, "names"))
        await served.serve(target("a", "10.0.0.2"))
        await served.serve(target("b", "10.0.0.3", dns=False))

    asyncio.run(body())
    assert notes == ["proxy serve a", "names serve a", "proxy serve b"]
