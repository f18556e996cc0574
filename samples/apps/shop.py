"""One service of the sample shop: answers with its name, version and what it saw, and asks the next one down the chain.

    ROLE     order | warehouse | dispatch (only a label in the answer)
    VERSION  v1, v2, …
    NEXT     host:port of the service to ask, or empty for the last one
    PORT     where to listen (default 8080)

Standard library only, so that it runs wherever Python does.
"""

import json
import os
import socket
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE = os.environ.get("ROLE", "shop")
VERSION = os.environ.get("VERSION", "v1")
NEXT = os.environ.get("NEXT", "")


def ask_next(path: str) -> dict:
    try:
        with urllib.request.urlopen(f"http://{NEXT}{path}", timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as error:
        return {"error": f"{NEXT}: {error}"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one segment

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, {"ok": True})
            return
        body = {
            "service": ROLE,
            "version": VERSION,
            "pod": socket.gethostname(),
            "client": self.client_address[0],
            "path": self.path,
        }
        status = 200
        if NEXT:
            body["next"] = ask_next(self.path)
            if "error" in body["next"]:
                print(body["next"]["error"], flush=True)
            status = 502 if "error" in body["next"] else 200
        self._answer(status, body)

    def _answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, text: str, *values: object) -> None:
        print(self.address_string(), text % values, flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    Server(("", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
