"""A view made again gives the very parts that did not change, which is what translators memoise by."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import worlds as w
from plait.model.compile import compile
from plait.model.views import sidecar_projection
from plait.resources.objects import Objects

WORLD = (d.service("cart", "10.9.0.1"), d.service("reviews", "10.9.0.2"), w.sidecar_pod("web", "10.0.0.1"))


def routed(timeout: str) -> Any:
    return w.routes("cart", [{"route": [{"destination": {"host": "cart"}}], "timeout": timeout}])


def test_one_changed_route_leaves_every_other_part_as_it_was() -> None:
    first: Objects = w.objects(*WORLD, routed("1s"))
    mesh, _ = compile(first)
    view = w.seen_by(mesh, "web")
    changed, _ = compile(first.with_(*w.objects(routed("2s"))), mesh)
    again = sidecar_projection.project(changed, view.proxy, view)
    assert again != view
    assert again.upstreams is view.upstreams
    assert again.enforced is view.enforced
    old = {host.name: host for host in view.http[0].virtual_hosts}
    new = {host.name: host for host in again.http[0].virtual_hosts}
    assert [name for name in new if new[name] is not old[name]] == ["cart.shop.svc.cluster.local:80"]


def test_nothing_changed_gives_the_very_view() -> None:
    mesh, _ = w.world(*WORLD)
    view = w.seen_by(mesh, "web")
    assert sidecar_projection.project(mesh, view.proxy, view) is view
