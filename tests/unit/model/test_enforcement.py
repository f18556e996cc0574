"""Every cell of client mode x server mode x kind: one point, or nowhere with a reason."""

from __future__ import annotations

from itertools import product
from typing import Literal, get_args

import pytest

from plait.model.enforcement import ClientMode, Kind, Point, ServerMode, decide, server_mode
from plait.model.modes import Mode

CLIENTS: tuple[ClientMode, ...] = get_args(ClientMode)
SERVERS: tuple[ServerMode, ...] = get_args(ServerMode)
KINDS: tuple[Kind, ...] = get_args(Kind)

# One letter a cell. c client sidecar, g gateway, w waypoint, n server node proxy, s server sidecar, G server gateway;
# W waypoint, and the server's node proxy refuses what did not pass it; V the same of the server's sidecar;
# - nowhere; ! nowhere, but the server's node proxy refuses; ? nowhere, but the server's sidecar refuses.
LETTERS: dict[str, tuple[Point, Point | Literal[""]]] = {
    "c": ("client sidecar", ""),
    "g": ("gateway", ""),
    "w": ("waypoint", ""),
    "W": ("waypoint", "server node proxy"),
    "V": ("waypoint", "server sidecar"),
    "n": ("server node proxy", ""),
    "s": ("server sidecar", ""),
    "G": ("server gateway", ""),
    "-": ("nowhere", ""),
    "!": ("nowhere", "server node proxy"),
    "?": ("nowhere", "server sidecar"),
}
# Rows: client none, ambient, ambient+waypoint, sidecar, gateway. Columns: server none, none+waypoint, ambient,
# ambient+waypoint, sidecar, sidecar+waypoint, gateway.
TABLE: dict[Kind, tuple[str, ...]] = {
    "l4-policy": ("--nnssG",) * 5,
    "peer-mode": ("--nnssG",) * 5,
    "l7-policy": ("--!!ssG",) * 5,
    "authentication": ("----ssG",) * 5,
    "waypoint-policy": ("--!!s?G", "-w!WsVG", "-w!WsVG", "-w!WsVG", "-w!WsVG"),
    "rate-limit": ("--!!s?G", "-w!WsVG", "-w!WsVG", "-w!WsVG", "-w!WsVG"),
    "load-limit": ("----s-G", "-w-wswG", "-w-wswG", "-w-wswG", "-w-wswG"),
    "route": ("------G", "-w-w-wG", "-w-w-wG", "cwcwcwG", "gwgwgwG"),
    "balancing": ("------G", "-w-w-wG", "-w-w-wG", "cwcwcwG", "gwgwgwG"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_table(kind: Kind) -> None:
    for (row, client), (column, server) in product(enumerate(CLIENTS), enumerate(SERVERS)):
        decision = decide(client, server, kind)
        cell = (client, server, kind)
        assert (decision.point, decision.guard) == LETTERS[TABLE[kind][row][column]], cell
        assert bool(decision.reason) == (decision.point == "nowhere"), cell


def test_security_is_never_just_not_applied_where_the_server_is_in_the_mesh() -> None:
    kinds: tuple[Kind, ...] = ("l4-policy", "l7-policy", "waypoint-policy", "rate-limit")
    inside = [server for server in SERVERS if not server.startswith("none")]
    for client, server, kind in product(CLIENTS, inside, kinds):
        decision = decide(client, server, kind)
        assert decision.point != "nowhere" or decision.guard, (client, server, kind)


def test_a_point_that_is_not_the_server_s_own_proxy_is_guarded_by_that_proxy() -> None:
    own = {"ambient+waypoint": "server node proxy", "sidecar+waypoint": "server sidecar"}
    for client, server in product(CLIENTS, own):
        assert decide(client, server, "waypoint-policy").guard == own[server], (client, server)  # type: ignore[arg-type]


def test_a_workload_s_mode_and_its_waypoint_make_the_server_mode() -> None:
    assert [server_mode(mode, False) for mode in get_args(Mode)] == ["none", "ambient", "sidecar"]
    assert [server_mode(mode, True) for mode in get_args(Mode)] == [
        "none+waypoint",
        "ambient+waypoint",
        "sidecar+waypoint",
    ]
