"""Ways change while proxies hear late, each in its own time: no request is sent where it is not served or let in."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.app.telling.order import Change, Order, Way
from plait.model.mesh import GatewayAddress

KEY = "shop/cart"
WAYS = (Way(), Way("a", GatewayAddress("a")), Way("b", GatewayAddress("b")), Way("c", GatewayAddress("c")))
CLIENTS, SERVERS, WAYPOINTS = ("client-1", "client-2"), ("server-1", "server-2"), ("a", "b", "c")
PROXIES = (*CLIENTS, *SERVERS, *WAYPOINTS)
EVENT = st.one_of(
    st.sampled_from(WAYS),  # somebody writes another label
    st.sampled_from(PROXIES),  # one hears of all that it was told
    st.just("look"),
    st.just("all"),  # everybody hears everything
)


class Told(tuple[Way, Change | None]):
    """One state, as every proxy hears it: what `app.telling.told` makes of it."""

    @property
    def way(self) -> str:
        way, change = self
        return change.told.waypoint if change is not None else way.waypoint

    @property
    def both(self) -> set[str]:
        """Waypoints that serve; and ("" anybody) who is let in."""
        way, change = self
        return {change.before.waypoint, change.after.waypoint} if change is not None else {way.waypoint}


class World:
    def __init__(self) -> None:
        self.wanted, self.order = WAYS[0], Order({KEY: WAYS[0]})
        self.log = [Told((WAYS[0], None))]
        self.heard = dict.fromkeys(PROXIES, 0)
        self.entered: dict[Change, int] = {}

    def happen(self, event: Way | str) -> None:
        if isinstance(event, Way):
            self.wanted = event
            self.look()
        elif event == "look":
            self.look()
        elif event == "all":
            self.heard = dict.fromkeys(PROXIES, len(self.log) - 1)
        else:
            self.heard[event] = len(self.log) - 1

    def look(self) -> None:
        before = self.order.changes.get(KEY)
        self.order = self.order.advanced({KEY: self.wanted}, self.acknowledged, lambda address: True)
        change = self.order.changes.get(KEY)
        said = Told((self.order.known[KEY], change))
        if said != self.log[-1]:
            self.log.append(said)
        if change is not None and change != before:
            self.entered = {change: len(self.log) - 1}

    def acknowledged(self, key: str, change: Change) -> bool:
        return min(self.heard.values()) >= self.entered[change]

    def knows(self, proxy: str) -> Told:
        return self.log[self.heard[proxy]]

    def check(self) -> None:
        for client in CLIENTS:
            way = self.knows(client).way
            if way:
                assert way in self.knows(way).both, f"{client} sends to {way}, which does not serve it"
            for server in SERVERS:
                let_in = self.knows(server).both
                assert way in let_in or "" in let_in, f"{server} refuses what {client} sends by {way or 'itself'}"


@given(st.lists(EVENT, min_size=20, max_size=100))
@settings(max_examples=200, deadline=None)
def test_whoever_has_heard_what_every_request_is_served_and_let_in(events: list[Way | str]) -> None:
    world = World()
    for event in events:
        world.happen(event)
        world.check()


@given(st.lists(EVENT, max_size=60), st.sampled_from(WAYS))
def test_when_everybody_hears_what_is_wanted_last_is_told_in_the_end(events: list[Way | str], last: Way) -> None:
    world = World()
    for event in (*events, last):
        world.happen(event)
    for _ in range(8):  # two stages of what was under way, two of the last
        world.happen("all")
        world.happen("look")
        world.check()
    assert (world.order.changes, world.log[-1]) == ({}, Told((last, None)))


SOME = st.dictionaries(st.sampled_from("xyz"), st.sampled_from(WAYS))


@given(SOME, SOME)
def test_what_is_new_has_its_way_at_once_and_what_is_gone_is_forgotten(
    before: Mapping[str, Way], after: Mapping[str, Way]
) -> None:
    order = Order().advanced(before, lambda key, change: False, lambda address: True)
    assert (order.known, order.changes) == (before, {})
    order = order.advanced(after, lambda key, change: False, lambda address: True)
    assert order.known.keys() == after.keys()
    assert order.changes.keys() == {key for key in before.keys() & after.keys() if before[key] != after[key]}
