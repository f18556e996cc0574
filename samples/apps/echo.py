"""A small fast server for measuring: HTTP with a body of SIZE bytes on PORT, and a byte sink on PORT + 1.

The sink reads until the client half-closes and answers how many bytes came: one bulk stream, measured at its end.
"""

import asyncio
import os

PORT = int(os.environ.get("PORT", "8080"))
BODY = b"x" * int(os.environ.get("SIZE", "1024"))
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
CLOSING = ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)


class Http(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end].lower(), self.buffer[end + 4 :]
            if b"connection: close" in head:
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
    async with http, bulk:
        await asyncio.Event().wait()


asyncio.run(main())
