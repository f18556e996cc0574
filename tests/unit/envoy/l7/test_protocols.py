"""Which filters read the calls of a connection, and when bytes are passed on instead."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import l7, worlds
from plait.envoy.roles import sidecar, waypoint
from plait.model.views.sidecar import SidecarView

PORTS = {"redis": 6379, "thrift": 9090, "dubbo": 20880, "mongo": 27017, "mysql": 3306}
SERVED = {"plait.dev/serve-calls": "true"}
WORLD = (
    worlds.waypoint(),
    worlds.gateway_pod("waypoint-1", "10.4.0.1", "waypoint"),
    worlds.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}),
)


def service(name: str = "data", **rest: Any) -> d.Document:
    ports = [{"name": each, "port": port, "protocol": "TCP"} for each, port in PORTS.items()]
    return d.service(name, "10.9.0.1", spec={"ports": ports}, **rest)


def client(*documents: d.Document) -> SidecarView:
    mesh, _ = worlds.world(*WORLD, d.pod("data-1", "10.0.0.2", labels={"app": "data"}), *documents)
    return worlds.seen_by(mesh, "web")


def filters(listeners: list[l7.Document], port: int) -> list[str]:
    """Of the chain that takes connections to the service's address."""
    (listener,) = (each for each in listeners if each["name"] == f"0.0.0.0_{port}")
    (chain,) = listener["filter_chains"]
    return [each["name"].rpartition(".")[2] for each in chain["filters"]]


ALL_BYTES = {key: ["tcp_proxy"] for key in PORTS} | {"mongo": ["mongo_proxy", "tcp_proxy"]}


def outbound(*documents: d.Document) -> dict[str, list[str]]:
    listeners = sidecar.documents(client(*documents))["listeners"]
    return {name: filters(listeners, port) for name, port in PORTS.items()}


def test_a_name_alone_brings_no_filter_that_could_refuse() -> None:
    assert outbound(service()) == ALL_BYTES


def test_calls_are_served_where_the_author_asks_for_it() -> None:
    served = {name: [f"{name}_proxy"] for name in ("redis", "thrift", "dubbo")}
    assert outbound(service(annotations=SERVED)) == ALL_BYTES | served


def test_behind_a_waypoint_calls_are_read_there_and_nowhere_else() -> None:
    behind = service(annotations=SERVED, labels={"istio.io/use-waypoint": "waypoint"})
    assert outbound(behind) == {key: ["tcp_proxy"] for key in PORTS}
    mesh, _ = worlds.world(*WORLD, behind)
    (inner,) = (
        each
        for each in waypoint.documents(worlds.behind(mesh, "waypoint-1"))["listeners"]
        if each["name"] == "main_internal"
    )
    names = {each["name"].split("|")[1]: each["filters"][-1]["name"] for each in inner["filter_chains"]}
    assert names["6379"].endswith("redis_proxy") and names["27017"].endswith("tcp_proxy")


@pytest.mark.parametrize(("name", "kept"), [("redis", "tcp_proxy"), ("thrift", "thrift_proxy")])
def test_commands_of_redis_are_not_parted_by_weight_and_it_is_told(name: str, kept: str) -> None:
    ends = [
        {"destination": {"host": "data", "port": {"number": PORTS[each]}}, "weight": 50} for each in (name, "mysql")
    ]
    view = client(
        service(annotations=SERVED), worlds.routes("data", tcp=[{"match": [{"port": PORTS[name]}], "route": ends}])
    )
    assert filters(sidecar.documents(view)["listeners"], PORTS[name]) == [kept]
    told = [each.message for each in sidecar.refusals(view)]
    assert told == (["Redis commands cannot be parted by weight, connections are; name one"] if name == "redis" else [])
