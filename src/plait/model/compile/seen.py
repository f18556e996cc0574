"""Which namespaces the mesh sees (`discoverySelectors` of its configuration), and the objects of those alone.

What is in no namespace is always seen, and so is the root namespace: what holds for the whole mesh is written there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from plait.base.wellknown import DATAPLANE_MODE, INJECTION, REVISION
from plait.model.compile.memory import Memory
from plait.model.compile.traffic.report import NO_EFFECT, Report
from plait.model.mesh import Settings
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.resources.kubernetes import Namespace
from plait.resources.mesh_config import mesh
from plait.resources.meta import LabelSelector
from plait.resources.problems import Problem

CONFIG_MAP = "istio"
Selectors = tuple[LabelSelector, ...]
_TEXT = "discoverySelectors of the mesh leave this namespace out, and no proxy knows its pods; label it as they ask, or"


class Objects(Protocol):
    def of(self, kind: Kind) -> Mapping[tuple[str, str], Any]: ...


def seen(objects: Objects, settings: Settings, memory: Memory, problems: list[Problem]) -> Objects:
    """All objects where nothing is selected; else those of the namespaces that some selector chooses."""
    found = objects.of(kinds.CONFIG_MAP).get((settings.root_namespace, CONFIG_MAP))
    selectors = selectors_of((found.data or {}).get("mesh", "") if found is not None else "")
    if not selectors:
        return objects
    namespaces = objects.of(kinds.NAMESPACE)
    unseen = memory.made(
        ("unseen-namespaces",),
        namespaces,
        lambda: {
            name: each
            for (_, name), each in namespaces.items()
            if not sees(selectors, name, each.meta.labels, settings.root_namespace)
        },
        (selectors, settings.root_namespace),
    )
    for each in unseen.values():
        problems.extend(_labelled(each))
    known = frozenset(name for _, name in namespaces)

    def inside(name: str) -> bool:
        """A namespace of which nothing is known but its name has the one label that every namespace has."""
        if name in known:
            return name not in unseen
        return sees(selectors, name, {"kubernetes.io/metadata.name": name}, settings.root_namespace)

    return _Seen(objects, inside, (frozenset(unseen), known, selectors), memory)


def sees(selectors: Selectors, name: str, labels: Mapping[str, str], root: str) -> bool:
    """Whether some selector chooses a namespace of these labels; all are seen where none is written."""
    return not selectors or name == root or any(each.matches(labels) for each in selectors)


@lru_cache(4)
def selectors_of(text: str) -> Selectors:
    """Of the text of a mesh configuration; what is wrong with it is told elsewhere."""
    written = "discoverySelectors" in text or "discovery_selectors" in text
    return mesh.read(text, "mesh")[0].discovery_selectors if written else ()


class _Seen:
    """`around`: what the answers of `inside` follow from."""

    def __init__(self, objects: Objects, inside: Callable[[str], bool], around: object, memory: Memory) -> None:
        self._objects, self._inside, self._around, self._memory = objects, inside, around, memory
        self._found: dict[Kind, Mapping[tuple[str, str], Any]] = {}

    def of(self, kind: Kind) -> Mapping[tuple[str, str], Any]:
        every = self._objects.of(kind)
        if not kind.namespaced:
            return every
        if kind not in self._found:
            inside = self._inside
            self._found[kind] = self._memory.among(f"seen {kind}", every, lambda name: inside(name[0]), self._around)
        return self._found[kind]


def _labelled(unseen: Namespace) -> Iterator[Problem]:
    """That its labels ask for a proxy all the same."""
    labels = unseen.meta.labels
    asks = {DATAPLANE_MODE: labels.get(DATAPLANE_MODE) == "ambient", INJECTION: labels.get(INJECTION) == "enabled"}
    asks[REVISION] = bool(labels.get(REVISION))
    for label in (label for label, asked in asks.items() if asked):
        report = Report("Namespace", "", unseen.name)
        report.say(NO_EFFECT, f"metadata.labels[{label}]", f"{_TEXT} remove {label}")
        yield from report.problems
