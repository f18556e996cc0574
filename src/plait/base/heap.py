"""Heap: what the C library keeps of memory that was freed is given back to the machine.

Discovery takes in and gives out megabytes at a time, on several threads. By default each thread frees into an arena of
its own, and one large buffer that is freed makes the library keep those to come.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # malloc.h
_LARGE: Final = 256 * 1024
_ARENAS: Final = 2


@cache
def _library() -> ctypes.CDLL | None:
    """glibc; None where there is another one, which has no such knobs."""
    found = ctypes.CDLL(None)
    return found if hasattr(found, "malloc_trim") and hasattr(found, "mallopt") else None


def settle() -> None:
    """For this process from now on: buffers of some size are the machine's again as soon as they are freed."""
    if (library := _library()) is not None:
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_ARENA_MAX, _ARENAS)


def trim() -> None:
    """Give back what is free now."""
    if (library := _library()) is not None:
        library.malloc_trim(0)
