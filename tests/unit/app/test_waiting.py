"""What a proxy is told at once, and what waits until it asks."""

from __future__ import annotations

from plait.app.waiting import Waiting
from plait.base.bundle import Resource
from plait.envoy import names
from plait.envoy.wire import resource


def cluster(name: str, *, waits: bool = False) -> Resource:
    metadata = {"filter_metadata": {names.MD_ON_DEMAND: {}}} if waits else {}
    return resource(names.CLUSTER, name, {"name": name, "type": "STATIC", "metadata": metadata})


def of(*found: Resource) -> dict[str, Resource]:
    return {each.name: each for each in found}


def test_what_may_wait_is_not_told_but_found() -> None:
    waiting = Waiting()
    now, later = cluster("now"), cluster("later", waits=True)
    assert waiting.early(of(now, later)) == of(now)
    assert waiting.find(names.CLUSTER, "later") is later
    assert waiting.find(names.CLUSTER, "never") is None
    assert waiting.find(names.LISTENER, "later") is None


def test_what_was_told_once_stays_told_until_it_is_gone() -> None:
    waiting = Waiting()
    assert waiting.early(of(cluster("a"), cluster("b"))).keys() == {"a", "b"}
    grown = of(cluster("a", waits=True), cluster("b", waits=True), cluster("c", waits=True))
    assert waiting.early(grown) == of(grown["a"], grown["b"]), "in its new form"
    assert waiting.early(of(grown["b"], grown["c"])) == of(grown["b"])
    assert waiting.early(grown) == of(grown["b"]), "what comes back waits like others"


def test_the_mapping_stays_the_same_while_nothing_in_it_changes() -> None:
    waiting = Waiting()
    now = cluster("now")
    first = waiting.early(of(now, cluster("one", waits=True)))
    assert waiting.early(of(now, cluster("two", waits=True))) is first
    whole = of(now)
    assert Waiting().early(whole) is whole
