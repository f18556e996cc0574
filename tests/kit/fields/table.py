"""docs/fields: a table for each kind, one row a field as `classify` found it; docs/fields.md is over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kit.fields.classify import Tried, Verdict, titled
from kit.fields.outcome import PODS, Word
from kit.fields.reasons import REASONS
from plait.resources.kinds import Kind
from plait.resources.registry import MESH

ROLES = (*PODS, "node")
HEAD = """# Fields and who is told of them

Made by `make fields`, not by hand; `tests/golden/test_fields.py` makes it again. Every field of the kinds the mesh
reads (by the schemas the API server serves) is set in a small world (`tests/kit/fields`), in which one service has
sidecars, one a waypoint, and a gateway of either API stands before them. The page of a kind says of each field:

- `yes` where what that role is told differs by it; Envoy reads what all fields became. A role without `yes` may still
  be told in other company than the trial gives the field.
- the problem that refuses it, where nobody is told: its code and the way out. Every such object carries it in its
  status, `plait validate`, `plait analyze` and `/debug/problems` show it, with the path of the field.
- `status alone` where the answer to it is the object's own status, or the reason why it says nothing to a proxy.

No field is silently dropped: the test fails for one without an entry.
"""
_LEAD = re.compile(r"^(not supported yet: field \S+ has no effect|it has no effect); |^it has no effect: ")


@dataclass(frozen=True, slots=True)
class Row:
    """`roles`: who is told. `why`: what says that nobody is. A row without either is silent: a fault of ours."""

    field: str
    roles: frozenset[str]
    why: str
    refused: bool = False

    @property
    def silent(self) -> bool:
        return not self.roles and not self.why

    def __str__(self) -> str:
        told = (" yes" if role in self.roles else "" for role in ROLES)
        return "".join(f"|{cell} " for cell in (f" `{self.field}`", *told, f" {self.why}" if self.why else "")) + "|"


def page_of(name: str) -> str:
    """The file, in docs/fields, of a kind by its title."""
    return f"{name.lower().replace(' ', '-')}.md"


def rendered(name: str, found: Iterable[Row]) -> str:
    columns = ("field", *ROLES, "told to nobody, because")
    head = f"# {name}", "", "How to read this: [fields.md](../fields.md).", "", f"| {' | '.join(columns)} |"
    return "\n".join([*head, f"|{' --- |' * len(columns)}", *map(str, found), ""])


def index(found: Iterable[tuple[str, list[Row]]]) -> str:
    lines = ["| kind | fields | told to some role | refused with a problem | said otherwise |", f"|{' --- |' * 5}"]
    sums = [0, 0, 0, 0]
    for name, rows in found:
        numbers = len(rows), sum(bool(r.roles) for r in rows), sum(r.refused for r in rows)
        each = *numbers, numbers[0] - numbers[1] - numbers[2]
        sums = [a + b for a, b in zip(sums, each, strict=True)]
        lines.append(f"| [{name}](fields/{page_of(name)}) | {' | '.join(map(str, each))} |")
    return "\n".join([HEAD, *lines, f"| all | {' | '.join(map(str, sums))} |", ""])


def kinds() -> tuple[Kind | None, ...]:
    return (*MESH, None)


def rows(tried: Tried) -> list[Row]:
    return [_row(tried.name, found) for found in tried.verdicts()]


def section(kind: Kind | None) -> tuple[str, list[Row]]:
    return titled(kind), rows(Tried(kind))


def _row(kind: str, found: Verdict) -> Row:
    told = frozenset(found.roles & {*ROLES}) | ({"sidecar"} if "injected" in found.roles else set())
    if told:
        return Row(found.field, told, "")
    if found.refused:
        return Row(found.field, told, "; ".join(_refusals(found.refused)), refused=True)
    reason = next((why for pattern, why in REASONS if re.search(pattern, f"{kind}:{found.field}")), "")
    if not reason and found.invalid:
        # Validation says no to values of ours: it is not silent, but who is told of a good value is not known.
        reason = f"unknown, values of the trial are refused: {min(found.invalid)}"
    return Row(found.field, told, "status alone" if "status" in found.roles else reason)


def _refusals(said: Iterable[Word]) -> Iterator[str]:
    """Each once, without what the table says already."""
    return iter(sorted({f"{word.code}: {_LEAD.sub('', word.message)}" for word in said}))
