"""The load generator stops when it is told to, also when it is far behind."""

from __future__ import annotations

import asyncio

from plait.trial import load


async def test_what_was_due_and_not_sent_is_told_apart_and_not_sent_any_more() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(0.2)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, stop.set)
    result = await load.run(load.Plan("127.0.0.1", port, rate=200.0, connections=1), stop)
    server.close()
    assert result.lost_total == 0 and len(result.latencies) == result.sent
    assert 1 <= result.sent < 10 < result.unsent
