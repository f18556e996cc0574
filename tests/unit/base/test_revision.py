from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.base.revision import Revision, differing, revision

keys = st.sampled_from("abcde")
values = st.integers(0, 2).map(lambda number: [number])
edits = st.lists(st.tuples(st.dictionaries(keys, values), st.sets(keys)), max_size=12)


@given(st.dictionaries(keys, values), edits)
def test_what_differs_from_any_earlier_one_is_what_a_comparison_finds(first, edits) -> None:
    states = [Revision(first)]
    for changed, gone in edits:
        last = states[-1]
        states.append(last.revised(changed, gone))
        assert states[-1] == {
            key: value for key, value in {**last, **changed}.items() if key in changed or key not in gone
        }
        ordered = states[-1].in_order(Revision({}))
        assert ordered == states[-1] and list(ordered) == sorted(states[-1])
        for old in states:
            assert sorted(differing(old, states[-1])) == sorted(differing(dict(old), dict(states[-1])))
            assert sorted(differing(old, ordered)) == sorted(differing(old, states[-1]))


def test_who_was_made_of_another_remembers_it_for_a_few_generations() -> None:
    first = state = Revision(dict.fromkeys("abc", 0))
    for number in range(8):
        state = state.revised({"b": number + 1})
        assert state.since(first) == ("b",)
    assert state.revised({"a": 9}).since(first) is None, "it is walked then"
    assert differing(first, state.revised({"a": 9})) == ["a", "b"]
    assert revision(state) is state and revision({"a": 1}).since(state) is None


def test_keys_that_were_changed_and_changed_back_do_not_differ() -> None:
    first = Revision({"a": 1, "b": 2})
    assert differing(first, first.revised({"c": 3}, ["a"]).revised({"a": 1}, ["c"])) == []


def test_equal_values_stay_the_objects_they_were_and_nothing_new_is_the_same_revision() -> None:
    old = Revision({"a": [1], "b": [2]})
    assert old.revised({"a": [1]}, ["c"]) is old and old.became({"b": [2], "a": [1]}) is old
    new = old.became({"a": [1], "b": [3]})
    assert new["a"] is old["a"] and differing(old, new) == ["b"]
