from __future__ import annotations

import json

import pytest

from kit import documents as d
from kit import worlds as w
from plait.app.gathering import Gathering
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.resources.objects import Objects
from plait.resources.problems import Problem

SELECTED = {
    "discoverySelectors": [
        {"matchLabels": {"mesh": "in"}},
        {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
    ]
}


def config(spec: d.Document) -> d.Document:
    return d.document("v1", "ConfigMap", "istio", "istio-system", data={"mesh": json.dumps(spec)})


def room(name: str, address: str) -> tuple[d.Document, ...]:
    return (
        d.service("cart", f"10.96.0.{address}", name),
        d.pod("cart-0", f"10.0.0.{address}", name, labels={"app": "cart"}),
        w.rules("cart", name, host="cart"),
        w.routes("cart", [{"route": [{"destination": {"host": "cart"}}]}], name),
        w.gateway("edge", name),
    )


def spaces(shop: dict[str, str], other: dict[str, str]) -> tuple[d.Document, ...]:
    return w.namespace("istio-system"), w.namespace("shop", **shop), w.namespace("other", **other)


ROOMS = (*room("shop", "1"), *room("other", "2"), *room("istio-system", "3"))


def namespaces(mesh: Mesh) -> set[str]:
    """Of whatever stands in a Mesh."""
    parts = (mesh.services, mesh.workloads, mesh.l7.services, mesh.l7.traffic, mesh.l7.routings, mesh.l7.gateways)
    found = [{each.namespace for each in part.values()} for part in parts]
    assert all(each == found[0] for each in found)
    return found[0]


@pytest.mark.parametrize(
    ("selecting", "shop", "other", "wanted"),
    [
        ({}, {}, {}, {"shop", "other", "istio-system"}),
        (SELECTED, {"mesh": "in"}, {}, {"shop", "istio-system"}),
        (SELECTED, {"mesh": "in"}, {"team": "a"}, {"shop", "other", "istio-system"}),
        (SELECTED, {"mesh": "out"}, {}, {"istio-system"}),
        ({"discovery_selectors": [{"matchLabels": {"mesh": "in"}}]}, {"mesh": "in"}, {}, {"shop", "istio-system"}),
    ],
)
def test_only_namespaces_that_some_selector_chooses_are_seen_and_the_root_always(
    selecting: d.Document, shop: dict[str, str], other: dict[str, str], wanted: set[str]
) -> None:
    mesh, problems = w.world(config(selecting), *spaces(shop, other), *ROOMS)
    assert namespaces(mesh) == wanted and problems == ()


def test_a_namespace_that_is_not_described_has_its_name_for_label() -> None:
    """As in manifests that are read offline."""
    named = [{"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop"]}]}]
    assert namespaces(w.world(config({"discoverySelectors": named}), *ROOMS)[0]) == {"shop", "istio-system"}


def test_labels_and_selectors_are_followed_while_running_and_the_rest_stays_as_it_is() -> None:
    steps: list[Objects] = []
    for said in (config({}), config(SELECTED)):
        for labels in ({}, {"team": "a"}, {}):
            before = steps[-1] if steps else Objects()
            steps.append(w.objects(said, *spaces({"mesh": "in"}, labels), *ROOMS).sharing(before))
    mesh: Mesh | None = None
    seen: list[int] = []
    for world in steps:
        last, (mesh, problems) = mesh, compile(world, mesh)
        full, same = compile(world)
        assert (mesh.services, mesh.workloads, mesh.l7, problems) == (full.services, full.workloads, full.l7, same)
        cart = "shop/cart.shop.svc.cluster.local"
        assert last is None or mesh.services[cart] is last.services[cart]
        seen.append(len(namespaces(mesh)))
    assert seen == [3, 3, 3, 2, 3, 2]


def test_a_namespace_that_asks_for_proxies_and_is_not_seen_is_told() -> None:
    labels = {"istio.io/dataplane-mode": "ambient", "istio-injection": "enabled"}
    _, problems = w.world(config(SELECTED), *spaces({"mesh": "in", **labels}, labels))
    assert [(each.code, each.kind, each.name, each.path) for each in problems] == [
        ("PLT0404", "Namespace", "other", "metadata.labels[istio-injection]"),
        ("PLT0404", "Namespace", "other", "metadata.labels[istio.io/dataplane-mode]"),
    ]


def test_what_is_not_seen_has_no_status_of_ours() -> None:
    world = w.objects(config(SELECTED), *spaces({"mesh": "in"}, {}), *ROOMS)
    mesh, problems = compile(world)
    told: tuple[Problem, ...] = problems
    statuses = Gathering().of(world, mesh, told)
    assert statuses and not [key for key in statuses if "/other/" in key]
    assert any("/shop/" in key for key in statuses)
