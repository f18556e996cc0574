"""Every cell of client mode x server mode x kind: one point, or nowhere with a reason."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from plait.model.enforcement import ClientMode, Kind, Point, ServerMode, decide

CLIENTS: tuple[ClientMode, ...] = get_args(ClientMode)
SERVERS: tuple[ServerMode, ...] = get_args(ServerMode)
KINDS: tuple[Kind, ...] = get_args(Kind)

# One letter a cell. c client sidecar, g gateway, w waypoint, n server node proxy, s server sidecar, G server gateway;
# - nowhere; ! nowhere, but the server's node proxy refuses.
LETTERS: dict[str, Point] = {
    "c": "client sidecar",
    "g": "gateway",
    "w": "waypoint",
    "n": "server node proxy",
    "s": "server sidecar",
    "G": "server gateway",
    "-": "nowhere",
    "!": "nowhere",
}
# Rows: client none, ambient, ambient+waypoint, sidecar, gateway. Columns: server none, ambient, ambient+waypoint,
# sidecar, gateway.
TABLE: dict[Kind, tuple[str, ...]] = {
    "l4-policy": ("-nnsG",) * 5,
    "peer-mode": ("-nnsG",) * 5,
    "l7-policy": ("-!!sG",) * 5,
    "authentication": ("---sG",) * 5,
    "waypoint-policy": ("-!!sG", "-!wsG", "-!wsG", "-!wsG", "-!wsG"),
    "route": ("----G", "--w-G", "--w-G", "ccwcG", "ggwgG"),
    "balancing": ("----G", "--w-G", "--w-G", "ccwcG", "ggwgG"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_table(kind: Kind) -> None:
    for (row, client), (column, server) in product(enumerate(CLIENTS), enumerate(SERVERS)):
        letter = TABLE[kind][row][column]
        decision = decide(client, server, kind)
        cell = (client, server, kind)
        assert decision.point == LETTERS[letter], cell
        assert decision.guard == ("server node proxy" if letter == "!" else ""), cell
        assert bool(decision.reason) == (decision.point == "nowhere"), cell


def test_security_is_never_just_not_applied_where_the_server_is_in_the_mesh() -> None:
    kinds: tuple[Kind, ...] = ("l4-policy", "l7-policy", "waypoint-policy")
    for client, server, kind in product(CLIENTS, SERVERS[1:], kinds):
        decision = decide(client, server, kind)
        assert decision.point != "nowhere" or decision.guard, (client, server, kind)
