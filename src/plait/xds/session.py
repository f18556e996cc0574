"""One delta-xDS stream as a sans-IO machine: requests in, responses out, and what the client is known to hold.

    receive(request) -> responses        a client spoke
    refresh() -> responses               the cache changed

It waits for an ACK before it sends the next change only where much is unanswered (`Rules.unanswered`). A refused
version is not sent again until the resource changes. Additions go out in the order of `Rules.order`, removals
afterwards in reverse, so that nothing is taken away while something else still points to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from plait.base.bundle import Resource
from plait.xds.cache import Change
from plait.xds.messages import Node, Request, Response
from plait.xds.types import Rules

_NONE: Mapping[str, Resource] = MappingProxyType({})
_NOTHING = Change((), ())
_WILDCARD = "*"
_UNDER_WAY = ""
"""Stands for the version of what the client is about to hold; no resource has it."""
_MAX_TYPES = 64
_MAX_PENDING = 1024


class Source(Protocol):
    """What a session reads; `cache.Cache` is one."""

    @property
    def generation(self) -> int: ...
    def of(self, type_url: str) -> Mapping[str, Resource]: ...
    def state(self, type_url: str) -> object: ...
    def moved(self, type_url: str, before: object) -> Set[str] | None: ...
    def find(self, type_url: str, name: str) -> Resource | None: ...
    def members(self, type_url: str, group: str) -> tuple[Resource, ...]: ...
    def request(self, type_url: str, name: str) -> None: ...
    def change(self, type_url: str, old: Mapping[str, Resource], new: Mapping[str, Resource]) -> Change: ...


class Refused(ValueError):
    """A request that no client may send; the stream ends with INVALID_ARGUMENT."""


@dataclass(frozen=True, slots=True)
class _Said:
    """The names in one response, and which state of the source it was made of."""

    brought: tuple[str, ...]
    removed: tuple[str, ...]
    generation: int


@dataclass(slots=True)
class _Subscription:
    """What is known of one type on this stream.

    The client holds `base` (the state last conveyed to a wildcard, shared with every other session) plus `held`
    (names known one by one; they win over `base`).
    """

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    base: Mapping[str, Resource] = field(default_factory=lambda: _NONE)
    held: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    """Names the client was told do not exist."""
    looked: object = None
    """The state of the source in which all `names` were looked up last; None: they must be again."""
    pending: dict[str, _Said] = field(default_factory=dict)
    """Nonce -> what that response says, until answered; in the order of sending."""
    answered: str = ""
    """The last nonce that was acknowledged or refused. A relay may give another verdict on it later."""
    acknowledged: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    """Name -> the client's words, until a later version is accepted."""

    def version(self, name: str) -> str | None:
        """What the client holds of a resource."""
        if (version := self.held.get(name)) is not None:
            return version
        return resource.version if (resource := self.base.get(name)) is not None else None

    def split(self, moved: Set[str] | None) -> dict[str, str]:
        """What it holds of resources that have not moved, by name; `held` is the rest from now on."""
        if moved is None:
            return {}
        kept = dict(self.held)
        self.held = {name: kept.pop(name) for name in moved if name in kept}
        return kept

    def underway(self) -> set[str]:
        """What responses bring that the client has not answered yet, by the resources' own names."""
        names: set[str] = set()
        for said in self.pending.values():
            names.update(said.brought)
            names.difference_update(said.removed)
        return names


@dataclass(frozen=True, slots=True)
class TypeState:
    """How one type stands on one stream, for status pages."""

    wildcard: bool
    names: int
    waiting: int
    acknowledged: str
    refused: Mapping[str, str]
    current: bool = False
    """A wildcard that was told, and has answered for, what the source has now."""


@dataclass(frozen=True, slots=True)
class SessionState:
    node: str
    types: Mapping[str, TypeState]

    @property
    def settled(self) -> bool:
        """Everything sent was accepted."""
        return all(not state.waiting and not state.refused for state in self.types.values())


class Session:
    def __init__(self, source: Source, rules: Rules) -> None:
        self._source = source
        self._rules = rules
        self._types: dict[str, _Subscription] = {}
        self._sent = 0
        self._seen = -1
        self._weights: dict[int, tuple[str, int]] = {}
        """Nonce -> type and bytes of responses that are not answered yet."""
        self.node = Node()

    def receive(self, request: Request) -> list[Response]:
        """Take one request; Refused where the stream must end."""
        if not request.type_url:
            raise Refused("type_url is empty: a discovery request names the type it is about")
        if request.node is not None:
            self.node = request.node
        url, subscription = request.type_url, self._types.get(request.type_url)
        first = subscription is None
        if subscription is None:
            if len(self._types) >= _MAX_TYPES:
                raise Refused(f"more than {_MAX_TYPES} resource types on one stream")
            subscription = self._types[url] = _Subscription()
        _answered(subscription, request)
        self._lightened(url, request.nonce)
        if first:
            self._opened(subscription, request)
        again = set() if first else self._subscribed(subscription, request)
        if not (first or again) and self._laden():
            return []
        change = self._difference(url, subscription, again)
        owed = first and (subscription.wildcard or not (subscription.names or url in self._rules.by_name))
        return self._spoken({url: change}, owed=owed)

    def refresh(self) -> list[Response]:
        """What the client must hear after a change of the source."""
        if self._seen == self._source.generation or self._laden():
            return []
        self._seen = self._source.generation
        return self._spoken({url: self._difference(url, s, set()) for url, s in self._types.items()})

    def _laden(self) -> bool:
        return sum(octets for _, octets in self._weights.values()) > self._rules.unanswered

    def _lightened(self, type_url: str, nonce: str) -> None:
        """Who answers a response has taken those of the same type before it too."""
        if nonce.isdecimal():
            answered = [n for n, (url, _) in self._weights.items() if url == type_url and n <= int(nonce)]
            for number in answered:
                del self._weights[number]

    def refused(self, type_url: str) -> Mapping[str, str]:
        """Names of this type that the client refuses, with its words."""
        subscription = self._types.get(type_url)
        return dict(subscription.refused) if subscription is not None else {}

    @property
    def name(self) -> str:
        """Who the client says it is."""
        return self.node.id

    @property
    def answered(self) -> int:
        """The latest generation of the source of which the client was told all it asks for, and has answered for it."""
        waiting = (said.generation for s in self._types.values() for said in s.pending.values())
        return min(self._seen, min(waiting, default=self._seen + 1) - 1)

    def statistics(self) -> SessionState:
        types = {
            url: TypeState(
                s.wildcard,
                len(s.names),
                len(s.pending),
                s.acknowledged,
                dict(s.refused),
                s.wildcard and not s.pending and s.base is self._source.of(url),
            )
            for url, s in self._types.items()
        }
        return SessionState(self.node.id, types)

    def _opened(self, s: _Subscription, request: Request) -> None:
        """The first request of a type: what the client wants, and what it holds from an earlier stream."""
        s.names = set(request.subscribe) - {_WILDCARD} - set(request.unsubscribe)
        nothing_named = not request.subscribe and not request.unsubscribe
        legacy = nothing_named and request.type_url not in self._rules.by_name
        s.wildcard = legacy or (_WILDCARD in request.subscribe and _WILDCARD not in request.unsubscribe)
        s.held = dict(request.versions)
        if not s.wildcard and request.type_url not in self._rules.declared_absent:
            # A name this server does not have *yet* (it may just have started) must not be taken from the client.
            for name in request.versions:
                if self._source.find(request.type_url, name) is None:
                    del s.held[name]

    def _subscribed(self, s: _Subscription, request: Request) -> set[str]:
        """Later wishes. Returns the names about which the client must hear even if nothing changed."""
        if request.subscribe or request.unsubscribe:
            s.looked = None
        again: set[str] = set()
        for name in request.subscribe:
            if name == _WILDCARD:
                s.wildcard = True
            else:
                s.names.add(name)
                s.absent.discard(name)
                again.add(name)
        for name in request.unsubscribe:
            if name == _WILDCARD:
                self._narrowed(request.type_url, s)
            elif name in s.names:
                s.names.discard(name)
                s.absent.discard(name)
                # Under a wildcard the protocol wants to hear whether that still covers the name.
                (again.add if s.wildcard else again.discard)(name)
        if request.unsubscribe and not s.wildcard:
            still = {found.name for n in s.names if (found := self._source.find(request.type_url, n)) is not None}
            for name in request.unsubscribe:
                gone = self._source.find(request.type_url, name)
                canonical = gone.name if gone is not None else name
                if canonical not in still:
                    s.held.pop(canonical, None)
        if again and not s.wildcard:
            # What was sent before a name was given up may arrive after it is wanted again; then the client takes it.
            for name in s.underway():
                s.held.setdefault(name, _UNDER_WAY)
        return again

    def _narrowed(self, type_url: str, s: _Subscription) -> None:
        """The wildcard ends: the client keeps only what it asks for by name."""
        found = {r.name for name in s.names if (r := self._source.find(type_url, name)) is not None} | s.names
        s.held = {name: version for name in found if (version := s.version(name)) is not None}
        s.wildcard, s.base = False, _NONE

    def _difference(self, url: str, s: _Subscription, again: set[str]) -> Change:
        """Everything to say now about one type, and the memory of having said it. `again`: names to repeat."""
        current, state = self._source.of(url) if s.wildcard else _NONE, self._source.state(url)
        if current is s.base and state is s.looked and not again:
            return _NOTHING
        changed: dict[str, Resource] = {}
        removed: list[str] = []
        if current is not s.base:
            change = self._source.change(url, s.base, current)
            changed = {r.name: r for r in change.changed if s.held.get(r.name) != r.version}
            removed = list(change.removed)
        moved = self._source.moved(url, s.looked) if not again and url not in self._rules.grouped else None
        kept, one_by_one = s.split(moved), dict[str, str]()
        for name in sorted(s.names if moved is None else s.names & moved):
            found = self._source.find(url, name)
            if found is None:
                removed += self._missing(url, s, name)
                continue
            s.absent.discard(name)
            if name in again or (found.name not in current and s.version(found.name) != found.version):
                changed[found.name] = found
            if found.name not in current:
                one_by_one[found.name] = found.version
            for member in self._source.members(url, found.name) if url in self._rules.grouped else ():
                if member.name not in current:
                    one_by_one[member.name] = member.version
                    if s.version(member.name) != member.version:
                        changed[member.name] = member
        for name in again - s.names:
            if name in current:
                changed[name] = current[name]
            else:
                removed.append(name)
        removed += [name for name in s.held if name not in current]
        s.base, s.held, s.looked = current, {**kept, **one_by_one}, state
        unique = dict.fromkeys(name for name in removed if name not in one_by_one and name not in changed)
        return Change(tuple(changed.values()), tuple(unique))

    def _missing(self, url: str, s: _Subscription, name: str) -> list[str]:
        if name in s.absent:
            return []
        s.absent.add(name)
        self._source.request(url, name)
        return [name] if url in self._rules.declared_absent else []

    def _spoken(self, changes: Mapping[str, Change], *, owed: bool = False) -> list[Response]:
        ordered = sorted(changes.items(), key=lambda item: self._rules.rank(item[0]))
        said = [(url, change) for url, change in ordered if owed or change.changed or change.removed]
        if len(said) == 1:
            return [self._response(said[0][0], said[0][1].changed, said[0][1].removed)]
        added = [self._response(url, change.changed, ()) for url, change in said if change.changed]
        return added + [self._response(url, (), change.removed) for url, change in reversed(said) if change.removed]

    def _response(self, url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> Response:
        self._sent += 1
        self._weights[self._sent] = url, sum(len(resource.value) for resource in resources)
        pending = self._types[url].pending
        names = tuple(resource.name for resource in resources)
        pending[str(self._sent)] = _Said(names, removed, self._source.generation)
        if len(pending) > _MAX_PENDING:  # a client that never answers must not fill our memory
            del pending[next(iter(pending))]
        if len(self._weights) > _MAX_PENDING:
            del self._weights[next(iter(self._weights))]
        return Response(url, str(self._sent), resources, removed)


def _answered(s: _Subscription, request: Request) -> None:
    said = s.pending.pop(request.nonce, None)
    if said is None:
        if request.nonce and request.nonce == s.answered:
            _judged(s, request.error)
        return
    s.answered, names = request.nonce, (*said.brought, *said.removed)
    if request.error is None:
        s.acknowledged = request.nonce
        for name in names:
            s.refused.pop(name, None)
    else:
        # Envoy applies the good resources of a refused response and names the bad ones in its message.
        blamed = [name for name in names if name in request.error]
        s.refused.update(dict.fromkeys(blamed or names, request.error))


def _judged(s: _Subscription, error: str | None) -> None:
    """The client acknowledged for another, who has judged by now: of all that it was ever told."""
    if error is None:
        s.refused.clear()
        return
    known = (name for name in (*s.base, *s.held) if name in error)
    s.refused.update(dict.fromkeys(known, error) or {"*": error})
