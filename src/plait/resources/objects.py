"""Objects: an immutable set of typed objects, indexed by kind and (namespace, name). The input of `compile`.

A change makes a new set that shares everything else; an equal object keeps its old identity, so later steps memoise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from plait.base.revision import Revision
from plait.resources import codes, kinds
from plait.resources.decode import decode, problem
from plait.resources.kinds import Kind
from plait.resources.meta import Key, Resource
from plait.resources.problems import Problem
from plait.resources.registry import TYPES
from plait.resources.validate import validate

Name = tuple[str, str]
R = TypeVar("R", bound=Resource)
_EMPTY: Revision[Name, Resource] = Revision()
_KIND_OF = {cls: kind for kind, cls in TYPES.items()}


class Objects:
    """Typed objects by kind, namespace and name."""

    __slots__ = ("_kinds",)

    def __init__(self, found: Mapping[Kind, Revision[Name, Resource]] | None = None) -> None:
        self._kinds: Mapping[Kind, Revision[Name, Resource]] = found or {}

    def of(self, kind: Kind) -> Mapping[Name, Any]:
        """All objects of a kind by (namespace, name); the same mapping until one of them changes."""
        return self._kinds.get(kind, _EMPTY)

    def all(self, cls: type[R]) -> Mapping[Name, R]:
        """As `of`, typed by the Python class."""
        return cast(Mapping[Name, R], self.of(_KIND_OF[cls]))

    def get(self, kind: Kind, name: str, namespace: str = "") -> Any | None:
        return self.of(kind).get((namespace, name))

    def with_(self, *objects: Resource) -> Objects:
        """With these added or replaced; the same set when nothing differs."""
        changed: dict[Kind, dict[Name, Resource]] = {}
        for each in objects:
            changed.setdefault(_KIND_OF[type(each)], {})[each.ident] = each
        revised = {kind: self._kinds.get(kind, _EMPTY).revised(found) for kind, found in changed.items()}
        return self._with({kind: found for kind, found in revised.items() if found is not self.of(kind)})

    def without(self, key: Key) -> Objects:
        """Without the object of this key; the same set when it is not there."""
        for kind, present in self._kinds.items():
            if str(kind) == key.kind and (key.namespace, key.name) in present:
                return self._with({kind: present.revised({}, [(key.namespace, key.name)])})
        return self

    def _with(self, revised: Mapping[Kind, Revision[Name, Resource]]) -> Objects:
        return Objects({**self._kinds, **revised}) if revised else self

    def sharing(self, previous: Objects) -> Objects:
        """This set, with every object and kind that equals one of `previous` taken from there."""
        before = previous._kinds
        shared = {kind: before.get(kind, _EMPTY).became(present) for kind, present in self._kinds.items()}
        return previous if shared == before else Objects(shared)

    def __iter__(self) -> Iterator[Resource]:
        for present in self._kinds.values():
            yield from present.values()

    def __len__(self) -> int:
        return sum(len(present) for present in self._kinds.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Objects):
            return NotImplemented
        return {k: v for k, v in self._kinds.items() if v} == {k: v for k, v in other._kinds.items() if v}

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Objects({', '.join(f'{kind}: {len(found)}' for kind, found in self._kinds.items())})"


def key_of(each: Resource) -> Key:
    return Key(str(_KIND_OF[type(each)]), each.namespace, each.name)


def from_documents(
    documents: Iterable[dict[str, Any]], previous: Objects | None = None, *, check: bool = True
) -> tuple[Objects, tuple[Problem, ...]]:
    """Typed objects of all documents that read (and, with `check`, are valid); broken ones only as problems.

    Documents of kinds the mesh does not read (Deployment, …) are passed over in silence.
    """
    found: dict[Kind, dict[Name, Resource]] = {}
    problems: list[Problem] = []
    for document in documents:
        kind = kinds.by_document(document)
        if kind is not None and kind not in TYPES:
            continue
        wrong = validate(document) if check else ()
        each, unread = decode(document)
        problems += wrong or unread
        if each is None or kind is None or any(p.severity == "error" for p in (wrong or unread)):
            continue
        present = found.setdefault(kind, {})
        if each.ident in present:
            text = "another document describes the same object and the last one counts; remove one"
            problems.append(problem(document, codes.DUPLICATE_OBJECT, "metadata.name", text, "warning"))
        present[each.ident] = each
    made = Objects({kind: Revision(items) for kind, items in found.items()})
    return (made.sharing(previous) if previous is not None else made), tuple(problems)
