"""A server that says what reached it: method, path, every header as it came, its name, how often a tag came.

The tag is the header `x-tag`. `/flaky/N` fails the first N times a tag comes (503), `/slow/SECONDS` (or brittle, crowd)
waits, and `/count/TAG` answers how often the tag came and counts nothing.
"""

import json
import os
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEEN: Counter[str] = Counter()
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment: two small ones cost 40 ms where acknowledgements are delayed

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        first, *rest = self.path.partition("?")[0].strip("/").split("/")
        if first == "count" and rest:
            self.say(200, {"count": SEEN[rest[0]]})
            return
        tag = self.headers.get("x-tag", "")
        with LOCK:
            SEEN[tag] += 1
            times = SEEN[tag]
        if first in ("slow", "brittle", "crowd") and rest:
            time.sleep(float(rest[0]))
        failing = first == "flaky" and rest and times <= int(rest[0])
        headers = [[name.lower(), value] for name, value in self.headers.items()]
        found = {"method": self.command, "path": self.path, "headers": headers, "times": times}
        me = {"pod": os.uname().nodename, "version": os.environ.get("VERSION", "")}
        self.say(503 if failing else 200, {**found, **me})

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def say(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
