from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plait.app.proxy_reports import TYPES, ProxyReports, UnknownProxy
from plait.base.bundle import Bundle, Resource
from plait.model.proxies import Proxy
from plait.proxy.admin import Admin
from plait.xds.cache import Cache
from plait.xds.session import SessionState, TypeState

CDS = TYPES["CDS"]


@dataclass
class Stream:
    """Stands for an Envoy's stream."""

    types: dict[str, TypeState]

    def statistics(self) -> object:
        return SessionState("n", self.types)

    __hash__ = object.__hash__


class Companions:
    def __init__(self, *found: tuple[Proxy, Path, Cache]) -> None:
        self.proxies = found


def told(state: TypeState | None = None) -> Cache:
    cache = Cache(Bundle({CDS: {"a": Resource("a", b"", "1")}}))
    if state is not None:
        cache.attach(Stream({CDS: state}), lambda: None)
    return cache


def answered(waiting: int = 0, acknowledged: str = "1", **refused: str) -> TypeState:
    return TypeState(True, 0, waiting, acknowledged, refused)


def reports(cache: Cache, *others: tuple[Proxy, Path, Cache]) -> ProxyReports:
    made: Callable[..., Any] = ProxyReports
    found: ProxyReports = made("n1", cache, Admin(Path("/nowhere/admin.sock")), Companions(*others))
    return found


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (None, "IGNORED"),
        (answered(), "SYNCED"),
        (answered(waiting=1), "STALE"),
        (answered(acknowledged=""), "NOT SENT"),
        (answered(a="no such filter"), "REFUSED"),
        (answered(gone="no such filter"), "SYNCED"),
    ],
)
async def test_a_type_stands_as_envoy_answered(state: TypeState | None, word: str) -> None:
    (found,) = await reports(told(state)).listed()
    assert found["types"]["CDS"]["state"] == word
    assert found["connected"] is (state is not None)
    assert found["types"]["CDS"]["refused"] == ({"a": "no such filter"} if word == "REFUSED" else {})


async def test_every_envoy_of_the_node_is_listed_and_one_without_a_socket_is_not_ready(tmp_path: Path) -> None:
    proxy = Proxy(role="waypoint", namespace="shop", name="w-0")
    found = await reports(told(), (proxy, tmp_path, told())).listed()
    assert [(each["proxy"], each["role"], each["node"], each["ready"]) for each in found] == [
        ("node:n1", "node", "n1", False),
        ("shop/w-0", "waypoint", "n1", False),
    ]


async def test_an_unknown_proxy_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownProxy, match="no proxy shop/x on n1; there is node:n1"):
        await reports(told()).dump("shop/x")
    with pytest.raises(UnknownProxy, match="there is node:n1"):
        await reports(told()).logging("shop/x", "debug")


@pytest.mark.parametrize(
    ("levels", "asked"), [("", {}), ("debug", {"level": "debug"}), ("a:off,b:info", {"paths": "a:off,b:info"})]
)
async def test_levels_are_for_all_loggers_or_for_each_named(
    levels: str, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: Admin, method: str, path: str, query: dict[str, str]) -> str:
        assert (method, path, query) == ("POST", "/logging", asked)
        return "active loggers:\n  admin: warning\n  rbac: debug\n"

    monkeypatch.setattr(Admin, "_ask", answer)
    assert await reports(told()).logging("node:n1", levels) == {"admin": "warning", "rbac": "debug"}
