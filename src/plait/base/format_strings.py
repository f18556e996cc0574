"""Envoy's format strings: header values and log lines in which `%NAME(argument):length%` stands for what Envoy knows.

Envoy reads them from left to right: `%%` is the sign itself, every other `%` has to begin a command operator that is
closed by the next `%` after its argument. One that does not refuses the whole resource it stands in. Which operators
exist and what arguments they take is not known here.
"""

from __future__ import annotations

import re

_OPERATOR = re.compile(r"%%|%[A-Z0-9_]+(?:\(.*?\))?(?::[0-9]+)?%")


def has_stray_sign(text: str) -> bool:
    """Whether a `%` is neither doubled nor part of an operator, so that Envoy would refuse the text."""
    return "%" in _OPERATOR.sub("", text)


def literal(text: str) -> str:
    """The format string that Envoy prints as `text`."""
    return text.replace("%", "%%")
