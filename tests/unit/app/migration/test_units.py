"""Costs are what the mesh's own proxies show; where they show too little, what was assumed, and each says which."""

from __future__ import annotations

import pytest

from kit import documents as d
from kit.worlds import gateway_pod, namespace, sidecar_pod, waypoint, world
from plait.app.migration.advice import advise
from plait.app.migration.traffic import Traffic
from plait.app.migration.units import ASSUMED, Unit, Units, Usages, measured, words
from plait.app.usages import Usage

USE = namespace("calm", **{"istio.io/use-waypoint": "waypoint"})
MESH = world(
    USE,
    waypoint("waypoint", "calm"),
    gateway_pod("waypoint-1", "10.0.0.9", "waypoint", "calm"),
    d.service("cart", "10.96.0.1", "calm"),
    d.pod("cart", "10.0.0.1", "calm", labels={"app": "cart"}),
    sidecar_pod("web", "10.0.0.2"),
    d.pod("plain", "10.0.0.3", captured=False),
)[0]
TRAFFIC = {
    ("calm", "cart"): Traffic(requests_in=100.0, connections_in=10.0),
    ("shop", "web"): Traffic(requests_out=100.0),
    ("shop", "plain"): Traffic(requests_in=1000.0),
}


def usages(**cpu: float) -> Usages:
    named = {"node": "n1", "sidecar": "shop/web", "waypoint": "calm/waypoint-1"}
    return {(role, named[role]): Usage(role, named[role], used, 20.0) for role, used in cpu.items()}


NOTHING = usages(node=5.0, sidecar=5.0, waypoint=5.0)


def test_what_proxies_used_is_shared_out_over_what_they_did() -> None:
    found = measured(MESH, TRAFFIC, NOTHING, usages(node=5.67, sidecar=6.0, waypoint=5.25), 10.0)
    # 100 requests at 220 us and 10 connections at 1,150 a second were assumed: 0.335 s in ten. It took twice as much.
    assert found.node == Unit(pytest.approx(440.0), pytest.approx(2300.0), 20.0, "measured", "measured")
    assert (found.sidecar.request, found.sidecar.cpu) == (pytest.approx(1000.0), "measured")
    assert (found.waypoint.request, found.waypoint.cpu) == (pytest.approx(250.0), "measured")
    assert (found.sidecar.megabytes, found.waypoint.memory) == (20.0, "measured")


def test_what_shows_too_little_stays_as_assumed() -> None:
    few = {("shop", "web"): Traffic(requests_out=1.0)}
    found = measured(MESH, few, NOTHING, usages(node=5.1, sidecar=5.1), 10.0)
    assert (found.sidecar.request, found.sidecar.cpu, found.sidecar.memory) == (500.0, "assumed", "measured")
    assert found.waypoint == ASSUMED.waypoint, "none runs"
    assert measured(MESH, TRAFFIC, {}, {}, 10.0) == ASSUMED


def test_a_proxy_that_was_made_anew_meanwhile_does_not_count() -> None:
    begun = {("sidecar", "shop/other"): Usage("sidecar", "shop/other", 9.0, 40.0)}
    found = measured(MESH, TRAFFIC, NOTHING, {**usages(sidecar=5.5), **begun}, 10.0)
    assert found.sidecar.request == pytest.approx(500.0)
    assert found.sidecar.megabytes == 30.0, "its memory does"


def test_advice_is_reckoned_with_them() -> None:
    units = Units(node=Unit(220.0, 1150.0, 25.0), sidecar=Unit(1000.0, 1150.0, 30.0, "measured", "measured"))
    (found,) = (each for each in advise(MESH, TRAFFIC, "shop", units=units) if each.name == "web")
    assert (found.now.millicores, found.now.megabytes) == (100.0, 30.0)
    assert found.then.millicores == pytest.approx(22.0) and found.then.megabytes == 0.0, "a node's is there anyway"


def test_each_figure_says_whether_it_was_measured() -> None:
    text = list(words(Units(sidecar=Unit(480.0, 1104.0, 13.0, "measured", "measured")), 10.0))
    assert text[1:] == [
        "  node proxy: 220 and 1150 µs of CPU (assumed)",
        "  sidecar: 480 and 1104 µs of CPU (measured), 13 MB (measured)",
        "  waypoint: 500 and 1150 µs of CPU (assumed), 14 MB (assumed)",
    ]
