from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.base.bundle import Resource, version_of
from plait.envoy.l7.context import Context
from plait.envoy.l7.options import DEFAULT
from plait.envoy.l7.parts import Parts, Said, Seen
from plait.model.l7 import L7Settings
from plait.model.proxies import Proxy
from plait.model.views.upstreams import Upstream

PROXY = Proxy(role="waypoint", namespace="shop", name="w-0")


def upstream(host: str, port: int = 80) -> Upstream:
    return Upstream(hostname=host, port=port)


class Translating:
    """One part that looks up the upstream of one host."""

    def __init__(self) -> None:
        self.parts, self.runs = Parts(), 0

    def once(self, source: object, *known: Upstream, settings: L7Settings | None = None) -> tuple[dict[str, str], ...]:
        upstreams = {each.key: each for each in known}
        self.parts.begin((upstreams,), PROXY, settings or L7Settings())
        ctx = Context(PROXY, L7Settings(), DEFAULT, upstreams, parts=self.parts)

        def make(inner: Context, _: object) -> tuple[dict[str, str], ...]:
            self.runs += 1
            found = inner.upstreams.get(("cart", 80, ""))
            inner.extra["keys"] = {"name": "keys"}
            inner.refuse("VirtualService/shop/cart", "spec", "no")
            return ({"to": found.hostname if found is not None else "nowhere"}, {"same": "always"})

        (value,) = ctx.each("cart", [source], lambda _: "cart", make)
        assert list(ctx.extra) == ["keys"] and len(ctx.report.found) == 1, (
            "what a part leaves behind is there each time"
        )
        return value


def test_a_part_is_used_again_while_its_input_and_what_it_looked_up_are_the_same() -> None:
    translating, source, cart = Translating(), object(), upstream("cart")
    first = translating.once(source, cart)
    assert translating.once(source, cart, upstream("other")) is first, "who it did not look up does not matter"
    assert translating.runs == 1
    translating.once(object(), cart)
    translating.once(source, upstream("cart"))
    translating.once(source)
    translating.once(source, cart)
    assert translating.runs == 5, "another input, another upstream, none any more, one again"
    translating.once(source, cart, settings=L7Settings(tracing=False))
    assert translating.runs == 6


def test_what_came_out_equal_is_the_object_it_was() -> None:
    translating, cart = Translating(), upstream("cart")
    first = translating.once(object(), cart)
    gone = translating.once(object())
    assert gone[0] == {"to": "nowhere"} and gone[1] is first[1]


def test_what_one_translation_did_not_use_is_forgotten() -> None:
    translating, source, cart = Translating(), object(), upstream("cart")
    translating.once(source, cart)
    translating.parts.begin(({},), PROXY, L7Settings())
    translating.once(source, cart)
    assert translating.runs == 2


def test_a_tuple_counts_by_its_members_and_a_part_cannot_list_upstreams() -> None:
    parts, one, other = Parts(), {"a": 1}, {"b": 2}
    made = []
    for pair in ((one, other), (one, other), (other, one)):
        parts.begin(())
        parts.made("listener", pair, lambda: made.append(1))
    assert len(made) == 2
    with pytest.raises(TypeError, match="not list"):
        list(Seen({"a": 1}))


@given(st.lists(st.lists(st.sampled_from(range(12)), max_size=8), max_size=8))
def test_what_is_said_step_by_step_is_what_is_said_at_once(steps: list[list[int]]) -> None:
    """Also where two documents have one name, or one is refused."""
    documents = [{"name": name, "number": n} for n in range(4) for name in ("cart", "user", "broken")]

    def said(document: dict[str, object]) -> Said:
        name, value = str(document["name"]), str(document).encode()
        resource = Resource(name, version_of(value), value) if name != "broken" else None
        return Said(
            document, resource, frozenset({f"{name}-{document['number']}"}) if document["number"] else frozenset()
        )

    parts = Parts()
    for numbers in steps:
        chosen = [documents[number] for number in numbers]
        found, fresh = parts.said("routes", chosen, said), Parts().said("routes", chosen, said)
        assert (found.resources, found.secrets, found.said) == (fresh.resources, fresh.secrets, fresh.said)


def test_one_document_among_many_is_a_revision_of_what_was_said_and_is_made_alone() -> None:
    made: list[str] = []

    def said(document: dict[str, str]) -> Said:
        made.append(document["name"])
        return Said(document, Resource(document["name"], document["to"], b""))

    parts, documents = Parts(), [{"name": str(number), "to": "a"} for number in range(50)]
    first = parts.said("routes", documents, said).resources
    made.clear()
    second = parts.said("routes", [*documents[:7], {"name": "7", "to": "b"}, *documents[8:]], said).resources
    assert made == ["7"] and second.since(first) == ("7",)


def test_what_lasts_is_the_object_it_was_while_it_is_equal() -> None:
    parts = Parts()

    def lasting(*found: str) -> tuple[tuple[str, ...], ...]:
        parts.begin(())
        return parts.lasting("kind", tuple(tuple(each) for each in found), lambda each: each[0])  # new objects

    first = lasting("ab", "cd")
    assert lasting("ab", "cd") is first
    moved = lasting("xy", "ab", "ce")
    assert moved == (("x", "y"), ("a", "b"), ("c", "e"))
    assert moved[1] is first[0]
    parts.begin(())
    assert lasting("ab")[0] is not first[0], "a translation that did not use it forgets it"
