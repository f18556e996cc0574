"""A server that speaks first, as SMTP and MySQL do: greets every connection, then echoes lines. PORT, default 2525."""

import asyncio
import os


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 greeter ready\r\n")
    try:
        await writer.drain()
        while line := await reader.readline():
            writer.write(b"250 " + line)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "0.0.0.0", int(os.environ.get("PORT", "2525")))
    async with server:
        await server.serve_forever()


asyncio.run(main())
