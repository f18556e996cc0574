from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.model.grouping import regrouped

worlds = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(0, 9), st.lists(st.sampled_from("xyz"))))


class Value:
    """Compared by identity, as parts of a Mesh are."""

    def __init__(self, rank: int, keys: list[str]) -> None:
        self.rank, self.keys = rank, keys


Groups = dict[str, tuple[Value, ...]]


def grouped(old: dict[str, Value], new: dict[str, Value], groups: Groups) -> Groups:
    return regrouped(groups, old, new, lambda value: value.keys, lambda value: value.rank)


@given(worlds, worlds, st.sets(st.sampled_from("abcd")))
def test_patched_groups_are_those_made_at_once(first, second, same) -> None:
    old = {name: Value(*each) for name, each in first.items()}
    new = {name: old[name] if name in same and name in old else Value(*each) for name, each in second.items()}
    for number, value in enumerate(new.values()):
        value.rank = value.rank * 10 + number  # no two are equal
    old_groups = grouped({}, old, {})
    kept = {key: tuple(sorted(values, key=lambda v: v.rank)) for key, values in old_groups.items()}
    assert grouped(old, new, kept) == grouped({}, new, {})


def test_a_value_is_in_a_group_once_and_an_empty_group_goes() -> None:
    twice = Value(1, ["x", "x"])
    groups = grouped({}, {"a": twice}, {})
    assert groups == {"x": (twice,)}
    assert grouped({"a": twice}, {}, groups) == {}


def test_what_is_equal_and_another_takes_the_place_of_what_was() -> None:
    one, same = ["a"], ["a"]
    groups = regrouped({}, {}, {"1": one}, tuple, len)
    groups = regrouped(groups, {"1": one}, {"1": same}, tuple, len)
    assert groups["a"][0] is same
    assert regrouped(groups, {"1": same}, {}, tuple, len) == {}
