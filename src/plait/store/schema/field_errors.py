"""What is wrong with a field of a document, and where, in kube-apiserver's words: what checks of a schema report."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

Schema = dict[str, Any]
Trail = Union[None, "tuple[Trail, str | int]"]
"""The way to a field, last step first, so that a check need not render paths of what is right."""
Report = Callable[[Trail, str, str], None]
"""Where, what is wrong, and the machine reason of the cause."""
INVALID = "FieldValueInvalid"
_PLAIN = re.compile(r"[A-Za-z_$][-A-Za-z0-9_$]*\Z")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its path, what is wrong in kube-apiserver's words, and the machine reason of the cause."""

    path: str
    message: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def rendered(trail: Trail) -> str:
    """`spec.containers[0].name`; keys that are no plain names stand in brackets."""
    steps: list[str | int] = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    out = ""
    for step in reversed(steps):
        if isinstance(step, int) or not (_PLAIN.match(step) or not out):
            out += f"[{step}]"
        else:
            out += f".{step}" if out else step
    return out
