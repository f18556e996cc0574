"""A service that counts for all proxies: envoy.service.ratelimit.v3 over gRPC, fixed windows, kept in memory.

LIMITS says how many requests each descriptor may have in how many seconds, `*` for any value:
{"shop": [{"descriptor": {"user": "*"}, "requests": 10, "seconds": 60}]}
"""

import json
import os
import threading
import time
from concurrent import futures
from typing import Any

import grpc

from plait.envoy.descriptors import message_class

SERVICE = "envoy.service.ratelimit.v3"
REQUEST: Any = message_class(f"{SERVICE}.RateLimitRequest")
RESPONSE: Any = message_class(f"{SERVICE}.RateLimitResponse")
OK, OVER_LIMIT = 1, 2
LOCK = threading.Lock()
COUNTS: dict[tuple[str, tuple[tuple[str, str], ...], int], int] = {}


def limit_of(limits: list[Any], entries: tuple[tuple[str, str], ...]) -> Any | None:
    """The first limit about a descriptor of exactly these keys."""
    for limit in limits:
        wanted = limit["descriptor"]
        if wanted.keys() == dict(entries).keys() and all(wanted[key] in ("*", value) for key, value in entries):
            return limit
    return None


def answer(request: Any, limits: dict[str, list[Any]]) -> Any:
    response = RESPONSE(overall_code=OK)
    for descriptor in request.descriptors:
        entries = tuple((entry.key, entry.value) for entry in descriptor.entries)
        limit = limit_of(limits.get(request.domain, []), entries)
        status = response.statuses.add(code=OK)
        if limit is None:
            continue
        window = int(time.monotonic() // limit["seconds"])
        with LOCK:
            key = (request.domain, entries, window)
            COUNTS[key] = count = COUNTS.get(key, 0) + max(1, request.hits_addend)
        if count > limit["requests"]:
            status.code = response.overall_code = OVER_LIMIT
        status.limit_remaining = max(0, limit["requests"] - count)
    return response


def serve(port: int, limits: dict[str, list[Any]]) -> tuple[grpc.Server, int]:
    """A running server and its port (0: any)."""
    handler = grpc.unary_unary_rpc_method_handler(
        lambda request, _: answer(request, limits),
        request_deserializer=REQUEST.FromString,
        response_serializer=RESPONSE.SerializeToString,
    )
    server = grpc.server(futures.ThreadPoolExecutor(4))
    methods = {"ShouldRateLimit": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"{SERVICE}.RateLimitService", methods),))
    bound = server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    return server, bound


if __name__ == "__main__":
    serve(int(os.environ.get("PORT", "8081")), json.loads(os.environ.get("LIMITS", "{}")))[0].wait_for_termination()
