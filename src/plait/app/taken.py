"""Taken: what was heard from above is acknowledged when every Envoy that is served here has answered for it.

So an acknowledgement that reaches the control plane means the proxy, not its agent. Envoys that are not connected are
not waited for: they are told the newest when they are.
"""

from __future__ import annotations

import asyncio

from plait.xds.cache import Cache


class Taken:
    """Of one cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        cache.on_answer = self._look

    def by(self, generation: int) -> asyncio.Future[None] | None:
        """Done when the cache has got so far and nobody is behind; None when that is so already."""
        if self._is(generation):
            return None
        made: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((generation, made))
        return made

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, []
        for generation, future in waiting:
            if future.done():
                continue
            if self._is(generation):
                future.set_result(None)
            else:
                self._waiting.append((generation, future))

    def _is(self, generation: int) -> bool:
        return self._cache.generation >= generation and not any(True for _ in self._cache.behind(generation))
