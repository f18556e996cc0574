"""A small fast server for measuring: HTTP with a body of SIZE bytes on PORT, and a byte sink on PORT + 1.

The sink reads until the client half-closes and answers how many bytes came: one bulk stream, measured at its end.
Told to end, it serves on until its clients have left or are silent, at most DRAIN seconds, and asks them to with
each answer.
"""

import asyncio
import contextlib
import os
import signal
import time
from typing import ClassVar

PORT = int(os.environ.get("PORT", "8080"))
QUIET = 1.0
DRAIN = float(os.environ.get("DRAIN", "0"))
BODY = b"x" * int(os.environ.get("SIZE", "1024"))
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
CLOSING = ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)


class Http(asyncio.Protocol):
    open: ClassVar[set["Http"]] = set()
    ending = asyncio.Event()

    def __init__(self) -> None:
        self.buffer, self.spoke = b"", time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.open.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer, self.spoke = self.buffer + data, time.monotonic()
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end].lower(), self.buffer[end + 4 :]
            if b"connection: close" in head or self.ending.is_set():
                self.transport.write(CLOSING)
                self.transport.close()
                return
            self.transport.write(ANSWER)


async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    total = 0
    try:
        while data := await reader.read(1 << 20):
            total += len(data)
        writer.write(b"%d\n" % total)
        await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    http = await loop.create_server(Http, "0.0.0.0", PORT, backlog=1024)
    bulk = await asyncio.start_server(sink, "0.0.0.0", PORT + 1, limit=1 << 22)
    loop.add_signal_handler(signal.SIGTERM, Http.ending.set)
    async with bulk:
        await Http.ending.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                while any(time.monotonic() - each.spoke < QUIET for each in Http.open):
                    await asyncio.sleep(0.05)
    http.close()


asyncio.run(main())
