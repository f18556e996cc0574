"""LimitPolicies at real Envoys on loopback: exactly as many pass as are let in, and the rest is told why."""

from __future__ import annotations

import http.client
import importlib.util
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from kit import l7, tunnel
from kit.l7 import forward, route, upstream, virtual
from kit.loopback import backend, envoy, free_port
from kit.pki import Authority
from plait.envoy.roles import gateway, sidecar
from plait.model.attachment import Attachment
from plait.model.limits import (
    Adaptive,
    Breaker,
    Connections,
    Counted,
    Entry,
    LimitPolicy,
    Rate,
    RateLimit,
    Refusal,
    SharedLimit,
    SharedRateLimit,
    narrowed,
)
from plait.model.routes import TextMatch
from plait.model.traffic import NO_POLICY
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort, TcpChain
from plait.model.views.sidecar import InboundPort, SidecarView
from plait.model.views.upstreams import Upstream

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]
HERE = Attachment("shop")
COUNTING = Path(__file__).parents[2] / "samples" / "apps" / "counting.py"
HOUR = 3600.0


def limited(**sections: Any) -> LimitPolicy:
    return LimitPolicy("limits", "shop", HERE, **sections)


def get(port: int, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers={"Host": "shop.example", **named})
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def statuses(port: int, times: int, path: str = "/", **headers: str) -> Counter[int]:
    return Counter(get(port, path, **headers)[0] for _ in range(times))


@contextmanager
def serving(directory: Path, policy: LimitPolicy, *upstreams: Upstream, tcp: bool = False) -> Iterator[int]:
    """A gateway with this policy on a loopback port; without upstreams before a backend of its own."""
    with ExitStack() as held:
        found = upstreams or (upstream("web", "127.0.0.1", target=held.enter_context(backend("web"))),)
        port = free_port()
        name = found[0].hostname
        hosts = (virtual("shop", route("/", forward(l7.to(name, 80))), domains=("*",)),)
        http_chain, tcp_chain = HttpChain((), hosts, name="http.80"), TcpChain((), (l7.to(name, 80),))
        listening = ServerPort(port, "127.0.0.1", "HTTP", (http_chain,))
        if tcp:
            listening = ServerPort(port, "127.0.0.1", "TCP", (), (tcp_chain,))
        enforced = replace(l7.ENFORCED, limits=(policy,))
        narrow = tuple(
            replace(each, policy=replace(NO_POLICY, pool=narrowed(None, (policy,))) if each is found[0] else NO_POLICY)
            for each in found
        )
        view = GatewayView(l7.proxy("gateway"), l7.SETTINGS, (listening,), narrow, enforced)
        document = l7.composed(gateway.documents(view), run=True, admin=str(directory / "admin"))
        held.enter_context(envoy(document, port, directory))
        yield port


def test_as_many_pass_as_the_limit_says_and_the_rest_is_told(tmp_path: Path) -> None:
    refusal = Refusal(423, (("x-calm", "down"),))
    policy = limited(rates=(RateLimit("all", Rate(4, HOUR, 4), refusal=refusal),))
    with serving(tmp_path, policy) as port:
        assert statuses(port, 9) == {200: 4, 423: 5}
        _, headers = get(port)
        assert (headers["x-calm"], headers["x-local-rate-limit"]) == ("down", "true")


def test_only_what_matches_is_counted_and_each_value_on_its_own(tmp_path: Path) -> None:
    login = RateLimit(
        "login",
        Rate(2, HOUR, 2),
        (Counted(TextMatch("exact", "/login"), ("GET", "PUT")), Counted(TextMatch("prefix", "/api"))),
        (Entry("x-user", header="x-user"),),
    )
    with serving(tmp_path, limited(rates=(login,))) as port:
        assert statuses(port, 5, "/login", x_user="ann") == {200: 2, 429: 3}
        assert statuses(port, 3, "/login?again=1", x_user="bob") == {200: 2, 429: 1}
        assert statuses(port, 2, "/api/orders", x_user="bob") == {429: 2}
        assert statuses(port, 5, "/loginx", x_user="ann") == {200: 5}
        assert get(port, "/login", "POST", x_user="ann")[0] == 501  # the backend's own answer: not counted


def test_several_limits_hold_side_by_side(tmp_path: Path) -> None:
    few = RateLimit("few", Rate(2, HOUR, 2), (Counted(TextMatch("prefix", "/few")),))
    with serving(tmp_path, limited(rates=(RateLimit("all", Rate(5, HOUR, 5)), few))) as port:
        assert statuses(port, 3, "/few") == {200: 2, 429: 1}
        assert statuses(port, 4) == {200: 2, 429: 2}


def test_all_doors_of_a_sidecar_count_together(tmp_path: Path) -> None:
    """Istio's TLS and plain text are filter chains of their own: a bucket in each would let twice as many in."""
    authority = Authority()
    with ExitStack() as held:
        web, port = held.enter_context(backend("web")), free_port()
        enforced = replace(l7.ENFORCED, limits=(limited(rates=(RateLimit("all", Rate(3, HOUR, 3)),)),))
        inbound = InboundPort(
            port, "http", "permissive", "shop/web", l7.host("web"), endpoint=f"127.0.0.1:{web}", bind="127.0.0.1"
        )
        view = SidecarView(
            proxy=l7.proxy("sidecar", "web"),
            settings=l7.SETTINGS,
            http=(),
            tcp=(),
            upstreams=(),
            unknown="allow_any",
            egress_proxy=None,
            inbound=(inbound,),
            default_mtls="permissive",
            enforced=enforced,
        )
        found = sidecar.documents(view)
        found["listeners"] = [each for each in found["listeners"] if each["name"] == f"127.0.0.1_{port}"]
        held.enter_context(envoy(_by_name(found, tmp_path, authority), port, tmp_path))
        made = tunnel.context(authority, authority.issue("spiffe://cluster.local/ns/shop/sa/client"))
        made.set_alpn_protocols(["istio-http/1.1"])

        def secure() -> int:
            with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=made)) as connection:
                connection.request("GET", "/", headers={"Host": "web"})
                return connection.getresponse().status

        assert [get(port)[0], secure(), get(port)[0]] == [200, 200, 200]
        assert [get(port)[0], secure()] == [429, 429]


def _by_name(found: dict[str, Any], directory: Path, authority: Authority) -> dict[str, Any]:
    """As `l7.composed`, but routes come by name from a file: who names one shares it, as by ADS."""
    names = [each["rds"]["route_config_name"] for each in l7.managers(found["listeners"])]
    document = l7.composed(found, run=True, admin=str(directory / "admin"), authority=authority)
    kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    file = directory / "routes.json"
    asked = [{"@type": kind, **each} for each in found["routes"] if each["name"] in names]
    file.write_text(json.dumps({"resources": asked}))  # Envoy takes one from a file
    source = {"path_config_source": {"path": str(file)}, "resource_api_version": "V3"}
    managers = _managers(document["static_resources"]["listeners"])
    for name, holder in zip(names, managers, strict=True):
        del holder["route_config"]
        holder["rds"] = {"route_config_name": name, "config_source": source}
    return document


def _managers(document: Any) -> list[dict[str, Any]]:
    if isinstance(document, dict):
        here = [document] if "route_config" in document else []
        return here + [found for value in document.values() for found in _managers(value)]
    return [found for value in document for found in _managers(value)] if isinstance(document, list) else []


@pytest.fixture
def counting() -> ModuleType:
    spec = importlib.util.spec_from_file_location("counting", COUNTING)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shared(port: int, **more: Any) -> tuple[LimitPolicy, Upstream]:
    asked = SharedRateLimit(
        l7.host("counting"),
        port,
        "shop",
        5.0,
        (
            SharedLimit(
                (Entry("kind", "login"), Entry("user", header="x-user")), (Counted(TextMatch("prefix", "/counted")),)
            ),
        ),
        **more,
    )
    found = upstream("counting", "127.0.0.1", port=port, target=port, protocol="grpc")
    return limited(shared=asked), found


def test_a_service_counts_for_two_proxies(tmp_path: Path, counting: ModuleType) -> None:
    limits = {"shop": [{"descriptor": {"kind": "login", "user": "*"}, "requests": 5, "seconds": 86400}]}
    server, counter = counting.serve(0, limits)
    policy, asked = shared(counter)
    try:
        with ExitStack() as held:
            web = upstream("web", "127.0.0.1", target=held.enter_context(backend("web")))
            ports = []
            for name in ("one", "two"):
                directory = tmp_path / name
                directory.mkdir()
                ports.append(held.enter_context(serving(directory, policy, web, asked)))
            seen = sum((statuses(port, 4, "/counted", x_user="ann") for port in ports), Counter[int]())
            assert seen == {200: 5, 429: 3}
            assert statuses(ports[0], 4, "/counted", x_user="bob") == {200: 4}
            assert statuses(ports[0], 3, "/free", x_user="ann") == {200: 3}
    finally:
        server.stop(0)


@pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 500)])
def test_a_service_that_does_not_answer_fails_as_the_policy_says(tmp_path: Path, fail_open: bool, status: int) -> None:
    policy, asked = shared(free_port(), fail_open=fail_open)
    with ExitStack() as held:
        web = upstream("web", "127.0.0.1", target=held.enter_context(backend("web")))
        port = held.enter_context(serving(tmp_path, policy, web, asked))
        assert get(port, "/counted", x_user="ann")[0] == status
        assert get(port, "/free")[0] == 200


# Load ---


@contextmanager
def slow(gate: threading.Event) -> Iterator[tuple[int, list[str]]]:
    """Answers once the gate is open; what arrived is in the list."""
    arrived: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            arrived.append(self.path)
            gate.wait(20)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], arrived
    finally:
        gate.set()
        server.shutdown()
        server.server_close()


def until(what: Any, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def together(port: int, times: int, gate: threading.Event, settled: Any) -> Counter[int]:
    """That many requests at once; the gate opens when `settled`."""
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(get(port)[0])) for _ in range(times)]
    for each in threads:
        each.start()
    until(lambda: settled(found))
    gate.set()
    for each in threads:
        each.join()
    return Counter(found)


def test_a_circuit_breaker_refuses_what_is_too_much_at_a_time(tmp_path: Path) -> None:
    gate = threading.Event()
    with slow(gate) as (web, arrived):
        policy = limited(breaker=Breaker(requests=3))
        with serving(tmp_path, policy, upstream("web", "127.0.0.1", target=web)) as port:
            assert together(port, 8, gate, lambda found: len(found) == 5) == {200: 3, 503: 5}
            assert len(arrived) == 3
            assert get(port)[0] == 200


def test_adaptive_concurrency_keeps_to_its_least_while_it_measures(tmp_path: Path) -> None:
    gate = threading.Event()
    adaptive = Adaptive(50, 0.1, 1000, 2, 60, 50, 0, 25, 507)
    with ExitStack() as held:
        web, arrived = held.enter_context(slow(gate))
        behind = upstream("web", "127.0.0.1", target=web)
        port = held.enter_context(serving(tmp_path, limited(adaptive=adaptive), behind))
        assert together(port, 6, gate, lambda found: len(found) == 4) == {200: 2, 507: 4}
        assert len(arrived) == 2


def test_connections_are_limited_for_bytes_too(tmp_path: Path) -> None:
    with serving(tmp_path, limited(connections=Connections(most=2)), tcp=True) as port, ExitStack() as held:

        def lives(connection: socket.socket) -> bool:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: web\r\n\r\n")
            try:
                return connection.recv(12) == b"HTTP/1.1 200"
            except ConnectionError:
                return False

        def one_more() -> bool:
            made.append(held.enter_context(socket.create_connection(("127.0.0.1", port), 10)))
            return lives(made[-1])

        made: list[socket.socket] = []
        until(one_more)  # who waited for the port may be counted still
        until(one_more)
        assert not one_more() and not one_more()
        assert not _served(port)
        for each in made:
            each.close()
        until(lambda: _served(port))


def test_the_rate_of_connections_is_limited(tmp_path: Path) -> None:
    policy = limited(connections=Connections(rate=Rate(5, HOUR, 5)))
    with serving(tmp_path, policy) as port:
        served = [_served(port) for _ in range(8)]
        # Waiting for the port took connections too.
        assert 1 <= sum(served) <= 5 and served == sorted(served, reverse=True)
        assert not _served(port)


def _served(port: int) -> bool:
    try:
        return get(port)[0] == 200
    except (http.client.HTTPException, OSError):
        return False
