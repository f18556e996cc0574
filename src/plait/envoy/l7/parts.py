"""Parts: what a translation made of one input, kept for the next translation of the same proxy.

Nothing here changes a result. A part is used again while its input is the same object and everything that was looked
up while it was made (`Context` tells) is the same; a part that had to be made anew but came out equal is given back as
it was, so that what is made of it can be used again too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from plait.base.bundle import Resource
from plait.base.exchange import Exchange
from plait.base.revision import Revision, differing
from plait.envoy.pieces import Doc
from plait.model.views.keeping import kept
from plait.model.views.upstreams import Upstream

S = TypeVar("S")
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Seen(Mapping[K, V]):
    """A mapping that notes which keys were looked up in it, whether they were there or not."""

    def __init__(self, whole: Mapping[K, V]) -> None:
        self._whole = whole
        self.noted: set[K] = set()

    def __getitem__(self, key: K) -> V:
        self.noted.add(key)
        return self._whole[key]

    def __iter__(self) -> Iterator[K]:
        raise TypeError("a part may look up, not list: then everything would be its input")

    def __len__(self) -> int:
        return len(self._whole)


class Part(NamedTuple):
    source: Any
    seen: frozenset[Any]
    """Keys that it looked up."""
    value: Any
    beside: Any
    """What making it left behind in the context."""


class Group(NamedTuple):
    """Parts of one kind, each of one of the sources."""

    sources: Sequence[Any]
    parts: Sequence[Part]
    values: list[Any]
    beside: list[Any]
    """What parts left behind, of those that did."""


_NOBODY = Group((), (), [], [])


class Said(NamedTuple):
    """A document, encoded."""

    document: Doc
    resource: Resource | None
    """None: it is not Envoy's API."""
    secrets: frozenset[str] = frozenset()
    """Names of those it mentions."""
    why: str = ""
    """What is wrong with it."""


class Spoken(NamedTuple):
    """All documents of a kind, encoded."""

    documents: list[Doc]
    said: list[Said]
    resources: Revision[str, Resource]
    secrets: frozenset[str]

    @property
    def refused(self) -> list[Said]:
        return [each for each in self.said if each.resource is None] if len(self.resources) < len(self.said) else []


_SILENT = Spoken([], [], Revision(), frozenset())


class Parts:
    """Of one proxy. Between `begin` and `end` lies one translation; what it did not use is forgotten."""

    def __init__(self) -> None:
        self._common: tuple[Any, ...] | None = None
        self._known: tuple[Mapping[Any, Any], ...] = ()
        self._upstreams: tuple[tuple[Upstream, ...], Mapping[tuple[str, int, str], Upstream]] | None = None
        self._moved: frozenset[Any] = frozenset()
        self._before: dict[str, Part] = {}
        self._now: dict[str, Part] = {}
        self._groups: dict[str, Group] = {}
        self._grouping: dict[str, Group] = {}
        self._said: dict[str, Spoken] = {}
        self._halves: dict[str, Parts] = {}
        self._lasted: dict[str, tuple[Any, ...]] = {}
        self._lasting: dict[str, tuple[Any, ...]] = {}

    def half(self, name: str) -> Parts:
        """Of a translation of its own, which is a part of this one."""
        return self._halves.setdefault(name, Parts())

    def begin(self, known: tuple[Mapping[Any, Any], ...], *common: Any) -> None:
        """`common` is the input of every part; another one makes all anew. `known`: where parts look things up."""
        same = self._common == common and len(self._known) == len(known)
        self._before, self._groups = (self._now, self._grouping) if same else ({}, {})
        changed = [pair for pair in zip(self._known, known, strict=False) if pair[0] != pair[1]]
        self._moved = frozenset().union(*(differing(*pair) for pair in changed)) if same else frozenset()
        self._common, self._known, self._now, self._grouping = common, known, {}, {}
        self._lasted, self._lasting = self._lasting, {}

    def known(self, upstreams: tuple[Upstream, ...]) -> Mapping[tuple[str, int, str], Upstream]:
        """By key; the same mapping while they are the same tuple."""
        if self._upstreams is None or self._upstreams[0] is not upstreams:
            self._upstreams = upstreams, {each.key: each for each in upstreams}
        return self._upstreams[1]

    def each(self, kind: str, sources: Sequence[S], key: Callable[[S], Hashable], make: Callable[[S], Part]) -> Group:
        """A part for each source: that of the very same source before, while nothing it looked up has moved. The very
        same group where all are."""
        last, moved = self._groups.get(kind, _NOBODY), self._moved
        exchange = Exchange(last.sources, sources)
        parts = exchange.carried(last.parts)
        stale = set(exchange.come)
        if moved:
            stale.update(n for n, part in enumerate(parts) if part is not None and not moved.isdisjoint(part.seen))
        if stale or not exchange.same:
            gone = {key(last.sources[n]): last.parts[n] for n in exchange.gone}
            for n in sorted(stale):
                parts[n] = _sharing(parts[n] or gone.get(key(sources[n])), make(sources[n]))
            found = cast("list[Part]", parts)
            beside = [each.beside for each in found if each.beside is not None]
            last = Group(sources, found, [each.value for each in found], beside)
        self._grouping[kind] = last
        return last

    def lasting(self, key: str, found: tuple[S, ...], name: Callable[[S], Hashable]) -> tuple[S, ...]:
        """`found`, with the object of last time for each member that is equal to one; the very same tuple where all
        are."""
        self._lasting[key] = found = kept(self._lasted.get(key, ()), found, name)
        return found

    def made(self, key: str, source: Any, make: Callable[[], T]) -> T:
        """A part that follows from `source` alone (a tuple counts by its members)."""
        kept = self._before.get(key)
        if kept is None or not _same(kept.source, source):
            kept = _sharing(kept, Part(source, frozenset(), make(), None))
        self._now[key] = kept
        value: T = kept.value
        return value

    def said(self, kind: str, documents: list[Doc], make: Callable[[Doc], Said]) -> Spoken:
        """What `make` says of each, or said of the very same document last time."""
        last = self._said.get(kind, _SILENT)
        if last.documents != documents:  # compares objects first, and looks into none that are the same
            last = self._said[kind] = _spoken(last, documents, make)
        return last


def _spoken(last: Spoken, documents: list[Doc], make: Callable[[Doc], Said]) -> Spoken:
    exchange = Exchange(last.documents, documents)
    carried = exchange.carried(last.said)
    gone, come = [last.said[n] for n in exchange.gone], [make(documents[n]) for n in exchange.come]
    for n, each in zip(exchange.come, come, strict=True):
        carried[n] = each
    said = cast("list[Said]", carried)
    resources = last.resources.revised(_named(come), _named(gone))
    if len(resources) != len(said):  # one is no resource, or two have one name
        resources = last.resources.became(_named(said))
    secrets = last.secrets
    if any(each.secrets for each in (*gone, *come)):
        secrets = frozenset[str]().union(*[each.secrets for each in said])
    return Spoken(documents, said, resources, secrets)


def _named(said: Iterable[Said]) -> dict[str, Resource]:
    return {each.resource.name: each.resource for each in said if each.resource is not None}


def _same(old: Any, new: Any) -> bool:
    return old is new or (isinstance(old, tuple) and isinstance(new, tuple) and old == new)


def _sharing(old: Part | None, new: Part) -> Part:
    """With equal pieces of the one before in it."""
    return new if old is None else new._replace(value=_alike(old.value, new.value))


def _alike(old: Any, new: Any) -> Any:
    """`new`, with the old object for every member of tuples that equals one."""
    if old == new:
        return old
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        members = [_alike(one, other) for one, other in zip(old, new, strict=True)]
        return type(new)(*members) if hasattr(new, "_fields") else tuple(members)
    return new
