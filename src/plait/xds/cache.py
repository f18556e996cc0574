"""Cache: the latest Bundle for one audience, the hooks that answer beyond it, and who is waiting for news.

Many sessions share one cache. Differences between two states of a type are computed once and shared. It decides
nothing about the protocol (that is `session`) and does no IO: who changes it calls `set`, who serves it attaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Protocol

from plait.base.bundle import Bundle, Resource
from plait.base.revision import differing
from plait.base.type_urls import CLUSTER

Lookup = Callable[[str, str], Resource | None]
"""(type URL, name) -> the resource, for names of types `ON_DEMAND` no bundle lists. Asked again after every `set`."""
ON_DEMAND = frozenset({CLUSTER})

Resources = Mapping[str, Resource]


@dataclass(frozen=True, slots=True)
class Change:
    """What leads from one state of a type to another."""

    changed: tuple[Resource, ...]
    removed: tuple[str, ...]


class Client(Protocol):
    """Anything that can say how its client stands; sessions register themselves."""

    @property
    def name(self) -> str: ...

    @property
    def answered(self) -> int:
        """The latest generation it was told and has answered for, with yes or no; -1 none."""
        ...

    def statistics(self) -> object: ...


class Cache:
    """One audience. `on_request(type_url, name)` hears each name asked for that nothing answers yet (SDS secrets …)."""

    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        lookup: Lookup | None = None,
        on_request: Callable[[str, str], None] | None = None,
    ) -> None:
        self._bundle = bundle or Bundle()
        self._lookup = lookup
        self._on_request = on_request
        self._watchers: dict[Client, Callable[[], None]] = {}
        self._aliases: dict[str, tuple[Resources, dict[str, str]]] = {}
        self._groups: dict[str, tuple[Resources, dict[str, tuple[Resource, ...]]]] = {}
        self._changes: dict[str, list[tuple[Resources, Resources, Change]]] = {}
        self.generation = 0
        self._epoch = object()
        self.on_answer: Callable[[], None] = lambda: None
        """Called when a client has answered or gone, and when there is something new."""

    @property
    def bundle(self) -> Bundle:
        return self._bundle

    def set(self, bundle: Bundle, *, lookup: Lookup | None = None) -> None:
        """Replace everything (and the lookup, if given) and wake the sessions. Pass equal mappings on as they were."""
        self._bundle = bundle
        if lookup is not None:
            self._lookup = lookup
        self.generation += 1
        self._epoch = object()
        for wake in tuple(self._watchers.values()):
            wake()
        self.on_answer()

    def set_type(self, type_url: str, resources: Resources) -> None:
        """Replace one type, e.g. the secrets an agent holds."""
        self.set(Bundle({**self._bundle.types, type_url: resources}))

    def of(self, type_url: str) -> Resources:
        return self._bundle.of(type_url)

    def state(self, type_url: str) -> object:
        """Another object when `find` may answer otherwise than before."""
        return self._epoch if self._lookup is not None and type_url in ON_DEMAND else self._bundle.of(type_url)

    def moved(self, type_url: str, before: object) -> Set[str] | None:
        """Names that `find` may answer otherwise than in that state; None: any name."""
        now = self._bundle.of(type_url)
        if not isinstance(before, Mapping) or self.state(type_url) is not now:
            return None
        names = differing(before, now)
        resources = (each for name in names for each in (before.get(name), now.get(name)) if each is not None)
        return {*names, *(alias for each in resources for alias in each.aliases)}

    def find(self, type_url: str, name: str) -> Resource | None:
        """By name, else by alias, else what the lookup answers."""
        resources = self._bundle.of(type_url)
        found = resources.get(name)
        if found is None and (canonical := self._alias(type_url, resources).get(name)) is not None:
            found = resources.get(canonical)
        if found is None and self._lookup is not None and type_url in ON_DEMAND:
            found = self._lookup(type_url, name)
        return found

    def members(self, type_url: str, group: str) -> tuple[Resource, ...]:
        """The resources that belong to this one."""
        resources = self._bundle.of(type_url)
        kept = self._groups.get(type_url)
        if kept is None or kept[0] is not resources:
            found: dict[str, list[Resource]] = {}
            for resource in resources.values():
                for name in resource.groups:
                    found.setdefault(name, []).append(resource)
            kept = self._groups[type_url] = (resources, {name: tuple(each) for name, each in found.items()})
        return kept[1].get(group, ())

    def request(self, type_url: str, name: str) -> None:
        """A client asked for a name that is not there (yet)."""
        if self._on_request is not None:
            self._on_request(type_url, name)

    def change(self, type_url: str, old: Resources, new: Resources) -> Change:
        """The difference between two states of one type; the last few are remembered: sessions in step share them."""
        recent = self._changes.setdefault(type_url, [])
        for before, after, change in recent:
            if before is old and after is new:
                return change
        change = difference(old, new)
        recent.append((old, new, change))
        del recent[:-_REMEMBERED]
        return change

    def attach(self, session: Client, wake: Callable[[], None]) -> None:
        """`wake()` is called after each change; it must only note that there is news."""
        self._watchers[session] = wake

    def detach(self, session: Client) -> None:
        self._watchers.pop(session, None)
        self.on_answer()

    def behind(self, generation: int) -> Iterator[str]:
        """Names of the connected clients that have not answered for this generation yet."""
        wanted = min(generation, self.generation)
        return (session.name for session in self._watchers if session.answered < wanted)

    def statistics(self) -> Iterable[object]:
        """One entry a connected client: what it subscribed to, acknowledged, refused."""
        return [session.statistics() for session in self._watchers]

    def _alias(self, type_url: str, resources: Resources) -> dict[str, str]:
        kept = self._aliases.get(type_url)
        if kept is not None and kept[0] is resources:
            return kept[1]
        names = {alias: resource.name for resource in resources.values() for alias in resource.aliases}
        self._aliases[type_url] = (resources, names)
        return names


_REMEMBERED = 4


def difference(old: Resources, new: Resources) -> Change:
    """Resources that are new or have another version, and names that are gone."""
    moved = differing(old, new)
    come = [name for name in moved if name in new and (name not in old or old[name].version != new[name].version)]
    return Change(tuple(new[name] for name in come), tuple(name for name in moved if name not in new))
