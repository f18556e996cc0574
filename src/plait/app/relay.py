"""The door from the host to the API server: 127.0.0.1:<port> <-> the server's unix socket, bytes untouched.

The API server lives in the fabric's namespace; TLS and authentication are its own, this relay only moves bytes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from plait.base.observe import logger

_log = logger("relay")
_CHUNK = 64 * 1024


async def serve(port: int, socket: Path) -> None:
    """Listen on 127.0.0.1:`port` until cancelled. OSError when the port is in use."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(socket))
        except OSError as error:
            _log.warning("API server not reachable", socket=socket, error=error)
            writer.close()
            return
        await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy one direction; an end of file is passed on as a half close, an error closes the sink."""
    try:
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except (OSError, RuntimeError):
        sink.close()
