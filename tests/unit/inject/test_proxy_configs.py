"""ProxyConfig objects: the narrower place wins, of one place the oldest."""

from __future__ import annotations

from typing import Any

import pytest

from plait.inject.proxying import ANNOTATION, proxying
from plait.resources.mesh_config import proxy as mesh
from plait.resources.meta import ObjectMeta
from plait.resources.networking.proxy_config import ProxyConfig, ProxyConfigSpec
from plait.resources.networking.traffic import LabelMatch

LABELS = {"app": "web"}


def config(namespace: str, threads: int | None = None, selector: dict[str, str] | None = None, **rest: Any) -> Any:
    name, age = rest.pop("name", "a"), rest.pop("age", "")
    spec = ProxyConfigSpec(
        concurrency=threads,
        selector=LabelMatch(match_labels=selector) if selector is not None else None,
        environment_variables=rest,
    )
    return ProxyConfig(meta=ObjectMeta(name=name, namespace=namespace, creation_timestamp=age), spec=spec)


ROOT, SPACE, OURS = config("istio-system", 1), config("shop", 2), config("shop", 4, LABELS)


@pytest.mark.parametrize(
    ("objects", "note", "threads"),
    [
        ((), "", 7),
        ((ROOT,), "", 1),
        ((SPACE, ROOT), "", 2),
        ((SPACE, ROOT), "concurrency: 3", 3),
        ((SPACE, OURS, ROOT), "concurrency: 3", 4),
        ((config("shop", 4, {"app": "other"}),), "", 7),
        ((config("elsewhere", 4), config("elsewhere", 5, LABELS), config("istio-system", 5, LABELS)), "", 7),
        ((config("shop", 2, name="b", age="2020"), config("shop", 3, name="a", age="2021")), "", 2),
    ],
)
def test_the_narrower_word_wins(objects: tuple[Any, ...], note: str, threads: int) -> None:
    notes = {ANNOTATION: note} if note else {}
    assert proxying(notes, mesh.ProxyConfig(concurrency=7), objects, "shop", LABELS).threads == threads


def test_variables_of_all_places_are_joined() -> None:
    objects = (
        config("istio-system", A="root", B="root"),
        config("shop", B="space"),
        config("shop", None, LABELS, D="x"),
    )
    defaults = mesh.ProxyConfig(proxy_metadata={"A": "mesh", "E": "mesh"})
    made = proxying({ANNOTATION: "proxyMetadata: {C: pod}"}, defaults, objects, "shop", LABELS)
    assert made.environment == (("A", "root"), ("B", "space"), ("C", "pod"), ("D", "x"), ("E", "mesh"))
