"""What a kin of sidecars calls is made once, again only when it has changed, and forgotten with the last of them."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.worlds import objects, routes, sidecar_pod
from plait.app.kins import Kins
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.views import sidecar_projection
from plait.model.views.asking import proxy_of

PODS = [sidecar_pod("a", "10.0.0.1"), sidecar_pod("b", "10.0.0.2")]
CART = d.service("cart", "10.96.0.1")


def meshes(*steps: list[dict[str, Any]]) -> list[Mesh]:
    """Each compiled from the one before."""
    found = [Mesh()]
    for documents in steps:
        found.append(compile(objects(*documents), found[-1])[0])
    return found[1:]


def sidecars(mesh: Mesh) -> list[Proxy]:
    found = (proxy_of(mesh, uid, "sidecar") for uid in sorted(mesh.l7.instances))
    return [proxy for proxy in found if proxy is not None]


def test_sidecars_that_differ_in_nothing_asked_for_share_what_they_call() -> None:
    one, other = meshes([*PODS, CART], [*PODS, CART, d.service("pay", "10.96.0.2")])
    kins = Kins()
    a, b = (kins.calls(one, proxy) for proxy in sidecars(one))
    assert a is b
    assert [each["name"] for each in a.clusters] == ["outbound|80||cart.shop.svc.cluster.local"]
    assert kins.calls(other, sidecars(other)[0]) is not a


def test_a_label_tells_them_apart_while_an_object_asks_for_it() -> None:
    labelled = sidecar_pod("b", "10.0.0.2")
    labelled["metadata"]["labels"] = {**labelled["metadata"].get("labels", {}), "tier": "beta"}
    pods = [PODS[0], labelled]
    there = {"route": [{"destination": {"host": "cart"}}]}
    asking = routes("cart", [{"match": [{"sourceLabels": {"tier": "beta"}}], "redirect": {"uri": "/b"}}, there])
    without, asked = meshes([*pods, CART], [*pods, CART, asking])
    kins = Kins()
    a, b = (kins.calls(without, proxy) for proxy in sidecars(without))
    assert a is b
    a, b = (kins.calls(asked, proxy) for proxy in sidecars(asked))
    assert a.routes != b.routes


def test_what_has_not_changed_is_not_made_again_and_who_has_gone_is_forgotten() -> None:
    first, with_secret, alone = meshes(
        [*PODS, CART],
        [*PODS, CART, d.allow("policy", [{}])],  # of what comes in
        [
            sidecar_pod(
                "a",
                "10.0.0.1",
            )
            | {"metadata": {**PODS[0]["metadata"], "namespace": "other"}},
            CART,
        ],
    )
    kins = Kins()
    calls = kins.calls(first, sidecars(first)[0])
    assert kins.calls(with_secret, sidecars(with_secret)[0]) is calls
    kins.keep(with_secret)
    assert len(kins) == 1
    kins.calls(alone, sidecars(alone)[0])
    assert len(kins) == 2
    kins.keep(alone)
    assert len(kins) == 1


def test_what_a_sidecar_calls_stays_shared_when_an_endpoint_changes() -> None:
    server = d.pod("cart-0", "10.0.1.1", labels={"app": "cart"})
    moved = d.pod("cart-0", "10.0.1.2", labels={"app": "cart"})
    kins, seen = Kins(), None
    for mesh in meshes([*PODS, CART, server], [*PODS, CART, moved]):
        proxy = next(each for each in sidecars(mesh) if each.name == "a")
        calls = kins.calls(mesh, proxy)
        seen = sidecar_projection.project(mesh, proxy, seen, calls.view)
        assert calls.serve(seen)
