"""Whatever the interleaving of push, ACK, NACK, (un)subscribe and reconnect, the client converges to the cache."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plait.base.bundle import Bundle, Resource
from plait.base.revision import revision
from plait.base.type_urls import ADDRESS, CLUSTER
from plait.xds.cache import Cache
from plait.xds.messages import Request, Response
from plait.xds.session import Session
from plait.xds.types import DEFAULT

NAMES = ["a", "b", "c", "d"]
names = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)


class Conversation(RuleBasedStateMachine):
    """One client that holds what it accepted; one type; messages wait in order, as in one gRPC stream."""

    @initialize(
        url=st.sampled_from([ADDRESS, CLUSTER]), wildcard=st.booleans(), first=names, most=st.sampled_from([0, 2, 1000])
    )
    def begin(self, url: str, wildcard: bool, first: list[str], most: int = 1000) -> None:
        self.rules = replace(DEFAULT, unanswered=most)
        self.url, self.wildcard, self.names = url, wildcard, set(first)
        self.cache = Cache()
        self.held: dict[str, str] = {}
        self.known: dict[str, str] = {}  # what the client was told, accepted or not
        self.open()

    def open(self) -> None:
        self.session = Session(self.cache, self.rules)
        self.down: list[Response] = []
        # A fresh stream takes no awaited name away: the server may just have started.
        silent = self.url == CLUSTER and not self.wildcard
        self.known = {n: v for n, v in self.held.items() if not silent or self.cache.find(self.url, n)}
        wanted = (("*",) if self.wildcard else ()) + tuple(sorted(self.names))
        if not wanted:
            wanted, self.names = ("a",), {"a"}
        self.down += self.session.receive(Request(self.url, subscribe=wanted, versions=dict(self.held)))

    @rule(content=st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)))
    def push(self, content: dict[str, int]) -> None:
        """As a revision of what was there, as translators give it."""
        resources = {n: Resource(n, str(v), str(v).encode()) for n, v in content.items()}
        self.cache.set(Bundle({self.url: revision(self.cache.of(self.url)).became(resources)}))

    @rule(content=st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)))
    def restart(self, content: dict[str, int]) -> None:
        """What is there has nothing to do with what was."""
        resources = {n: Resource(n, str(v), str(v).encode()) for n, v in content.items()}
        self.cache.set(Bundle({self.url: resources}))

    @rule()
    def flush(self) -> None:
        self.down += self.session.refresh()

    @rule(refuse=st.booleans())
    def answer(self, refuse: bool) -> None:
        if not self.down:
            return
        response = self.down.pop(0)
        self.take(response, refuse)

    def take(self, response: Response, refuse: bool = False) -> None:
        for resource in response.resources:
            if not self.wildcard and resource.name not in self.names:
                continue  # a late answer about what is not wanted any more
            self.known[resource.name] = resource.version
            if not refuse:
                self.held[resource.name] = resource.version
        for name in response.removed:
            self.known.pop(name, None)
            self.held.pop(name, None)
        error = "no" if refuse else None
        self.down += self.session.receive(Request(self.url, nonce=response.nonce, error=error))

    @rule(more=names)
    def subscribe(self, more: list[str]) -> None:
        self.names |= set(more)
        self.down += self.session.receive(Request(self.url, subscribe=tuple(more)))

    @rule(less=names)
    def unsubscribe(self, less: list[str]) -> None:
        gone = tuple(n for n in less if n in self.names)
        self.names -= set(gone)
        if not self.wildcard:
            for name in gone:
                self.held.pop(name, None)
                self.known.pop(name, None)
        self.down += self.session.receive(Request(self.url, unsubscribe=gone))

    @rule()
    def reconnect(self) -> None:
        self.open()

    @rule()
    def settle(self) -> None:
        """Deliver everything; then the client was told exactly what the cache says."""
        while self.down or self.session._seen != self.cache.generation:
            self.down += self.session.refresh()
            if self.down:
                self.take(self.down.pop(0))
        current = self.cache.of(self.url)
        wanted = {n: r.version for n, r in current.items() if self.wildcard or n in self.names}
        known = {n: v for n, v in self.known.items() if self.wildcard or n in self.names}
        assert known == wanted
        assert self.session.answered == self.cache.generation

    @invariant()
    def nothing_is_pending_without_an_answer_to_come(self) -> None:
        if hasattr(self, "session"):
            state = self.session.statistics().types[self.url]
            assert state.waiting == len(self.down)
            assert not self.down or self.session.answered < self.cache.generation


Conversation.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestConversation = Conversation.TestCase


def test_a_late_answer_about_a_name_wanted_again_is_taken_back() -> None:
    """Given up and wanted again while its answer is under way, and gone meanwhile: the client must not keep it."""
    talk = Conversation()
    talk.begin(url=CLUSTER, wildcard=False, first=["a"])
    talk.push({"a": 1})
    talk.flush()
    talk.push({})
    talk.unsubscribe(["a"])
    talk.subscribe(["a"])
    talk.settle()
    assert talk.held == {}


def test_a_late_answer_by_another_name_is_taken_back_too() -> None:
    """A workload that was asked for by its address: the client knows it by its uid."""
    cache, address = Cache(), "/10.0.0.1"
    session = Session(cache, DEFAULT)
    session.receive(Request(ADDRESS, subscribe=("*",), unsubscribe=("*",)))
    session.receive(Request(ADDRESS, subscribe=(address,)))
    cache.set(Bundle({ADDRESS: {"uid": Resource("uid", "1", b"1", aliases=(address,))}}))
    (late,) = session.refresh()
    session.receive(Request(ADDRESS, unsubscribe=(address,)))
    cache.set(Bundle({}))
    (after,) = session.receive(Request(ADDRESS, subscribe=(address,)))
    assert ([each.name for each in late.resources], set(after.removed)) == (["uid"], {"uid", address})


def test_what_was_answered_is_not_under_way_so_nothing_is_taken_back() -> None:
    """Envoy never asks again for a cluster that was "removed" (`Rules.declared_absent`)."""
    cache = Cache()
    session = Session(cache, DEFAULT)
    session.receive(Request(CLUSTER, subscribe=("a",)))
    cache.set(Bundle({CLUSTER: {"a": Resource("a", "1", b"1")}}))
    (sent,) = session.refresh()
    session.receive(Request(CLUSTER, nonce=sent.nonce))
    session.receive(Request(CLUSTER, unsubscribe=("a",)))
    cache.set(Bundle({}))
    assert session.receive(Request(CLUSTER, subscribe=("a",))) == []


@pytest.mark.reliability(number=27)
def test_news_for_a_client_that_has_much_unanswered_are_one_change_once_it_has_answered() -> None:
    cache = Cache(Bundle({CLUSTER: {"a": Resource("a", "1", b"xx")}}))
    session = Session(cache, replace(DEFAULT, unanswered=1))
    (first,) = session.receive(Request(CLUSTER))
    for version in ("2", "3", "4"):
        cache.set(Bundle({CLUSTER: {"a": Resource("a", version, b"xx")}}))
        assert session.refresh() == []
    (news,) = session.receive(Request(CLUSTER, nonce=first.nonce))
    assert [resource.version for resource in news.resources] == ["4"]
    assert session.refresh() == [], "nothing has changed since"
