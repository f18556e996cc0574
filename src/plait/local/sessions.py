"""One exec or attach session over a WebSocket of `v5.channel.k8s.io`: channels to pipes or a terminal, and back.

Binary frames: first byte is the channel (0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal size, 255 close of
the channel named by the second byte).
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from plait.base import aio
from plait.local.containers import Containers, Running
from plait.local.crilog import Entry
from plait.store.api import Document

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK = 32 * 1024


def status_document(code: int, message: str) -> Document:
    """The Status that ends a session; clients read the exit code from its cause."""
    if code == 0:
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if code == 126 and message:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "reason": "InternalError",
            "message": message,
            "code": 500,
        }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": message or f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


class Session:
    def __init__(self, stream: web.WebSocketResponse, *, tty: bool, stdin: bool) -> None:
        self._stream, self._tty, self._stdin = stream, tty, stdin
        self._terminal = -1
        self._input = -1

    async def execute(
        self, containers: Containers, running: Running, directory: Path, command: Sequence[str]
    ) -> Document:
        """Run the command, copy both ways until it ends, and give the final Status."""
        ours: list[tuple[int, int]] = []  # descriptor to read, channel
        if self._tty:
            self._terminal, slave = os.openpty()
            self._input = os.dup(self._terminal)
            theirs = (slave, slave, slave)
            ours.append((self._terminal, _STDOUT))
        else:
            source, self._input = os.pipe2(os.O_CLOEXEC)
            (out, out_end), (err, err_end) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
            theirs = (source, out_end, err_end)
            ours += [(out, _STDOUT), (err, _STDERR)]
        try:
            try:
                pid, ended = await containers.execute(running, directory, command, theirs, tty=self._tty)
            finally:
                for fd in set(theirs):
                    os.close(fd)
        except BaseException:
            for fd, _ in ours:
                os.close(fd)
            self._close_input()
            raise
        if not self._stdin:
            self._close_input()
        outputs = [aio.spawn(self._output(fd, channel), "exec output") for fd, channel in ours]
        reading = aio.spawn(self._frames(), "exec input")
        try:
            waits: list[asyncio.Future[Any]] = [ended, reading]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():  # the user went away
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGHUP)
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(ended), 1.0)
                if not ended.done():
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
            code = await ended
            # Children may keep the pipe open for ever; what the command itself wrote arrives at once.
            await asyncio.wait(outputs, timeout=0.5)
            return status_document(code, "")
        finally:
            await aio.cancel(reading, *outputs)
            self._close_input()

    async def attach(self, entries: AsyncIterator[Entry], fifo: Path | None) -> None:
        if self._stdin and fifo is not None:
            self._input = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        reading = aio.spawn(self._frames(), "attach input")
        try:
            async for entry in entries:
                channel = _STDERR if entry.stream == "stderr" else _STDOUT
                await self._stream.send_bytes(bytes([channel]) + entry.text)
        except ConnectionError:
            pass
        finally:
            await aio.cancel(reading)
            self._close_input()

    async def finish(self, status: Document) -> None:
        with suppress(ConnectionError):
            await self._stream.send_bytes(bytes([_ERROR]) + json.dumps(status).encode())
            await self._stream.close()

    async def _output(self, fd: int, channel: int) -> None:
        loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        ready = asyncio.Event()
        loop.add_reader(fd, ready.set)
        try:
            while True:
                await ready.wait()
                ready.clear()
                try:
                    data = os.read(fd, _CHUNK)
                except BlockingIOError:
                    continue
                except OSError:  # EIO: no process has the terminal open any more
                    return
                if not data:
                    return
                ready.set()
                await self._stream.send_bytes(bytes([channel]) + data)
        except ConnectionError:
            return
        finally:
            loop.remove_reader(fd)
            os.close(fd)
            if fd == self._terminal:
                self._terminal = -1

    async def _frames(self) -> None:
        async for message in self._stream:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == _STDIN and self._input >= 0:
                await self._feed(data)
            elif channel == _CLOSE and data[:1] == bytes([_STDIN]):
                self._close_input()
            elif channel == _RESIZE and self._terminal >= 0:
                with suppress(ValueError, KeyError, OSError, struct.error):
                    size = json.loads(data)
                    packed = struct.pack("HHHH", size["Height"], size["Width"], 0, 0)
                    fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, packed)

    async def _feed(self, data: bytes) -> None:
        """Write it all without blocking the loop; a reader that went away ends the input."""
        loop = asyncio.get_running_loop()
        os.set_blocking(self._input, False)
        while data and self._input >= 0:
            try:
                data = data[os.write(self._input, data) :]
            except BlockingIOError:
                room = asyncio.Event()
                loop.add_writer(self._input, room.set)
                try:
                    await room.wait()
                finally:
                    loop.remove_writer(self._input)
            except OSError:
                self._close_input()

    def _close_input(self) -> None:
        if self._input >= 0:
            os.close(self._input)
            self._input = -1
