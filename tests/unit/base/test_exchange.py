from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.base.exchange import Exchange

POOL = [[number] for number in range(40)]
members = st.lists(st.sampled_from(range(40)), unique=True, max_size=30).map(lambda found: [POOL[n] for n in found])


@given(members, members, st.booleans())
def test_what_was_made_of_the_same_objects_is_carried_and_the_rest_has_come(old, new, similar) -> None:
    if similar:
        new = [*new[:3], *old[3:]][: len(old)]
    exchange = Exchange(old, new)
    carried = exchange.carried([str(each[0]) for each in old])
    assert [each is None for each in carried] == [place in exchange.come for place in range(len(new))]
    assert all(each in (None, str(new[place][0])) for place, each in enumerate(carried))
    assert {id(old[place]) for place in exchange.gone} >= set(map(id, old)) - set(map(id, new))
    assert {id(new[place]) for place in exchange.come} >= set(map(id, new)) - set(map(id, old))


def test_equal_members_are_not_the_same_and_one_among_many_is_one() -> None:
    old = [[0], [1], [2]]
    exchange = Exchange(old, [old[0], [1], old[2]])
    assert exchange.gone == exchange.come == [1]
    longer = Exchange(old, [old[2], [3], old[0], old[1]])
    assert longer.come == [1] and longer.gone == [] and longer.carried("abc") == ["c", None, "a", "b"]
