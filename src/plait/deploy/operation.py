"""How the proxies of a waypoint are operated: where they run, how many, and whether they may sleep.

Said by annotations of `spec.infrastructure` (else the Gateway's own), or by the key `operation` of the ConfigMap of
parameters, a mapping of the same names without their prefix; an annotation wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from plait.base.wellknown import OPERATION
from plait.resources import codes, durations

PREFIX: Final = "plait.dev/"
SCALE_TO_ZERO: Final = PREFIX + "scale-to-zero"
PARAMETER: Final = OPERATION
"""The key of a ConfigMap of parameters."""
Placement = Literal["node", "serverless", "managed"]
PLACEMENTS: Final[tuple[Placement, ...]] = ("node", "serverless", "managed")
NODE_CLASS: Final = "plait.dev/node-class"
"""The label of nodes that take serverless proxies; the annotation of this name says which value."""
_MOST = 1000
_CPU = re.compile(r"(\d+(?:\.\d+)?)(m?)\Z")


@dataclass(frozen=True, slots=True)
class Operation:
    """`idle`: seconds without use until it sleeps, None never. Targets are of one proxy, None: not looked at."""

    placement: Placement = "node"
    node_class: str = "serverless"
    least: int = 1
    most: int = 10
    idle: float | None = None
    steady: float = 60.0
    """Seconds for which a smaller number must have been enough before proxies go."""
    cpu: float | None = None
    rps: float | None = None
    p99: float | None = None

    @property
    def scaled(self) -> bool:
        """Is the number of proxies ours to choose?"""
        return self.sleeps or self.least > 1 or any(each is not None for each in (self.cpu, self.rps, self.p99))

    @property
    def sleeps(self) -> bool:
        return self.idle is not None


@dataclass(frozen=True, slots=True)
class Wrong:
    """One value that cannot be used."""

    code: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} {self.path}: {self.message}"


def read(
    annotations: Mapping[str, str], parameters: Mapping[str, Any], *, waypoint: bool = True
) -> tuple[Operation, tuple[Wrong, ...]]:
    """What they say; of wrong values the defaults stand, and each is told. Only waypoints are scaled."""
    said = {name: (str(value), f"parameters {PARAMETER}.{name}") for name, value in parameters.items()}
    for name in _READ:
        if (value := annotations.get(PREFIX + name)) is not None:
            said[name] = (value, f"spec.infrastructure.annotations[{PREFIX}{name}]")
    wrong: list[Wrong] = []
    values: dict[str, Any] = {}
    for name, (text, path) in said.items():
        if name not in _READ:
            known = ", ".join(_READ)
            wrong.append(Wrong(codes.UNKNOWN_FIELD, path, f"there is no such field; known are {known}"))
            continue
        field, parse, hint = _READ[name]
        value = parse(text.strip())
        if value is None:
            wrong.append(Wrong(codes.BAD_VALUE, path, f'"{text}" is not {hint}'))
        else:
            values[field] = None if value is _NEVER else value
    found = Operation(**values)
    if found.least > found.most:
        path = said.get("max-replicas", said.get("min-replicas", ("", "")))[1]
        text = f"at least {found.least} and at most {found.most} cannot both be; raise max-replicas"
        wrong.append(Wrong(codes.BAD_VALUE, path, text))
    if found.placement == "managed" and not waypoint:
        text = "only waypoints run in the pool; write node or serverless for this gateway"
        wrong.append(Wrong(codes.BAD_VALUE, said["placement"][1], text))
    if found.scaled and not waypoint:
        path = said[next(name for name in said if name in _SCALING)][1]
        text = "only waypoints are scaled by load; drop it, and scale the Deployment of this gateway"
        wrong.append(Wrong(codes.BAD_VALUE, path, text))
    return found, tuple(wrong)


class _Never:
    pass


_NEVER = _Never()


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda text: text if text in words else None


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() and 1 <= int(text) <= _MOST else None


def _period(text: str) -> float | None:
    found = durations.seconds(text)
    return found if found is not None and found > 0 else None


def _sleep(text: str) -> float | _Never | None:
    return _NEVER if text == "never" else _period(text)


def _cores(text: str) -> float | None:
    found = _CPU.match(text)
    value = float(found[1]) / (1000 if found[2] else 1) if found else 0.0
    return value if value > 0 else None


def _rate(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e9 else None


def _label(text: str) -> str | None:
    return text if re.match(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z", text) else None


_READ: Final[Mapping[str, tuple[str, Callable[[str], Any], str]]] = {
    "placement": (
        "placement",
        _one_of(*PLACEMENTS),
        f"a placement; write {', '.join(PLACEMENTS[:-1])} or {PLACEMENTS[-1]}",
    ),
    "node-class": ("node_class", _label, f"a value of the label {NODE_CLASS}; write for example serverless"),
    "min-replicas": ("least", _count, f"a number of proxies; write 1 to {_MOST}"),
    "max-replicas": ("most", _count, f"a number of proxies; write 1 to {_MOST}"),
    "scale-to-zero": ("idle", _sleep, "a time without use; write for example 60s, or never"),
    "scale-down-after": ("steady", _period, "a time; write for example 60s"),
    "target-cpu": ("cpu", _cores, "CPU of one proxy; write for example 500m or 1.5"),
    "target-rps": ("rps", _rate, "requests a second at one proxy; write for example 200"),
    "target-p99": ("p99", _period, "a time; write for example 50ms"),
}
"""By the name without its prefix: the field, how it is read, and what is right."""
ANNOTATIONS: Final = frozenset(PREFIX + name for name in _READ)
_SCALING = frozenset(_READ) - {"placement", "node-class"}
