"""An external authorizer for CUSTOM policies: what says `x-ext-authz: allow` may pass. HTTP on 8000, gRPC on 9000.

What passes carries `x-ext-authz-check-result: allowed` to the application; what does not gets 403 and says who refused.
`/slow` in the path makes it think for five seconds, longer than a provider's timeout should be. A request whose body
holds `forbidden` is refused too, where the provider sends bodies along (includeRequestBodyInCheck).
"""

import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import grpc

HEADER, RESULT = "x-ext-authz", "x-ext-authz-check-result"
_CHECK = "envoy.service.auth.v3.Authorization"


class Http(BaseHTTPRequestHandler):
    """Envoy sends the request's own method and path, and the headers its provider names."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def check(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if "/slow" in self.path:
            time.sleep(5)
        allowed = self.headers.get(HEADER) == "allow" and b"forbidden" not in body
        text = b"" if allowed else b"denied by the external authorizer\n"
        self.send_response(200 if allowed else 403)
        self.send_header(RESULT, "allowed" if allowed else "denied")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = check

    def log_message(self, *_: object) -> None:
        pass


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protobuf message; these are all shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def header(name: str, value: str) -> bytes:
    """HeaderValueOption with its HeaderValue."""
    return field(1, field(1, name.encode()) + field(2, value.encode()))


# CheckResponse: status 1 (google.rpc.Status: code 1), denied_response 2 (HttpStatus 1, headers 2, body 3),
# ok_response 3 (headers 2).
ALLOWED = field(1, b"") + field(3, field(2, header(RESULT, "allowed")))
_DENIED_HTTP = field(1, b"\x08\x93\x03") + field(2, header(RESULT, "denied")) + field(3, b"denied by the authorizer\n")
DENIED = field(1, b"\x08\x07") + field(2, _DENIED_HTTP)


def check(request: bytes, context: grpc.ServicerContext) -> bytes:
    """`request` is a CheckRequest; its map of headers holds ours as (key 1, value 2), one after the other."""
    if b"/slow" in request:
        time.sleep(5)
    return (
        ALLOWED if field(1, HEADER.encode()) + field(2, b"allow") in request and b"forbidden" not in request else DENIED
    )


def main() -> None:
    server = grpc.server(ThreadPoolExecutor(8))
    handler = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_CHECK, {"Check": handler}),))
    server.add_insecure_port("0.0.0.0:9000")
    server.start()
    http = ThreadingHTTPServer(("0.0.0.0", 8000), Http)
    Thread(target=http.serve_forever).start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
