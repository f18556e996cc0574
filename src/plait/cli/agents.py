"""How commands ask the node agents of a local mesh: over the sockets that only its owner can open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from plait.local.layout import Layout

_PATIENCE = 10.0


class Silent(Exception):
    """An agent did not answer; the text says how."""


class Refused(Exception):
    """An agent answered that it cannot; `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def get(
    layout: Layout, node: str, path: str, query: Mapping[str, str] | None = None, *, method: str = "GET"
) -> Any:
    """The JSON that the node's agent answers."""
    connector = aiohttp.UnixConnector(str(layout.command_socket(node)))
    timeout = aiohttp.ClientTimeout(_PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(method, f"http://agent{path}", params=query) as answer,
        ):
            if answer.status != 200:
                raise Refused(answer.status, await answer.text())
            return await answer.json()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Silent(f"its agent does not answer: {error or type(error).__name__}") from error


async def each(layout: Layout, nodes: list[str], path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What all agents answer, and why some do not, by node."""
    answers = await asyncio.gather(*(get(layout, node, path) for node in nodes), return_exceptions=True)
    good: dict[str, Any] = {}
    bad: dict[str, str] = {}
    for node, answer in zip(nodes, answers, strict=True):
        if isinstance(answer, Silent | Refused):
            bad[node] = str(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            good[node] = answer
    return good, bad
