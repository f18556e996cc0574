"""Does RE2 take an expression, as Envoy has it? Told without Envoy, so that one bad expression costs no other route.

The library is the one that Envoy is built with, so the verdicts are its own (`tests/e2e/test_expressions.py`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import re2

PROGRAM_SIZE: Final = 32768
"""Most instructions of one program, in all our bootstraps (runtime `re2.max_program_size.error_level`); Envoy's own
default of 100 refuses expressions as short as `.{1,100}`."""


@lru_cache(4096)
def refused(text: str) -> str:
    """RE2's complaint; "" when it takes the expression."""
    options = re2.Options()
    options.log_errors = False
    try:
        size: int = re2.compile(text, options).programsize
    except re2.error as error:
        return _words(error)
    except UnicodeEncodeError:
        return "not text that UTF-8 can say"
    return f"its program of {size} instructions is too large (most {PROGRAM_SIZE})" if size > PROGRAM_SIZE else ""


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
