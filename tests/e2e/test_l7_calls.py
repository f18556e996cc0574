"""Redis, Thrift, Dubbo and Mongo at a waypoint: a real Envoy on loopback reads the calls and counts them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kit import calls, l7, tunnel
from kit.loopback import envoy, free_port
from kit.pages import Page, page
from kit.pki import Authority
from plait.envoy.l7 import statistics
from plait.envoy.roles import waypoint
from plait.model.attachment import Attachment
from plait.model.http_security import HttpPolicy, HttpRule, Source
from plait.model.http_services import PortProtocol
from plait.model.policies import Text
from plait.model.traffic import Hash, LoadBalancing, TrafficPolicy
from plait.model.views.enforced import Enforced
from plait.model.views.upstreams import Upstream
from plait.model.views.waypoint import ServedPort, ServedService, WaypointView

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]
CLIENT, OTHER = (f"spiffe://cluster.local/ns/shop/sa/{name}" for name in ("client", "other"))
PORTS: dict[str, tuple[PortProtocol, int, calls.Server]] = {
    "thrift": ("thrift", 9090, calls.thrift),
    "dubbo": ("dubbo", 20880, calls.dubbo),
    "mongo": ("mongo", 27017, calls.mongo),
}


class Waypoint:
    """One waypoint before services of each protocol; two Redis servers, between which keys are parted."""

    def __init__(self, port: int, admin: Path, authority: Authority, redis: tuple[calls.Redis, ...]) -> None:
        self._port, self._admin, self._authority, self.redis = port, admin, authority, redis

    def call(self, service: str, port: int, data: bytes, identity: str = CLIENT) -> bytes:
        """The first bytes that come back; none when the connection is closed."""
        made = tunnel.context(self._authority, self._authority.issue(identity))
        with socket.create_connection(("127.0.0.1", self._port), 5) as plain:
            return tunnel.connect(plain, made, f"{l7.host(service)}:{port}", send=data, wait_for_data=True).data

    def page(self) -> Page:
        return page(self._admin)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waypoint]:
    directory, port, authority = tmp_path_factory.mktemp("calls"), free_port(), Authority()
    redis = (calls.Redis(), calls.Redis())
    who = HttpRule(sources=(Source(principals=(Text("exact", OTHER.removeprefix("spiffe://")),)),))
    denied = HttpPolicy("not-other", "shop", "deny", Attachment("shop"), (who,))
    enforced = Enforced((denied,), telemetry=l7.PROMETHEUS)
    with ExitStack() as held:
        ends = tuple(l7.ends("127.0.0.1", port=held.enter_context(calls.served(each)))[0] for each in redis)
        hashed = TrafficPolicy(balancing=LoadBalancing(hash=Hash(source_ip=True)))
        upstreams = [l7.upstream("redis", port=6379, endpoints=ends, protocol="redis", policy=hashed)]
        services = [_service("redis", 6379, "redis", enforced)]
        for name, (protocol, number, server) in PORTS.items():
            target = held.enter_context(calls.served(server))
            upstreams.append(l7.upstream(name, "127.0.0.1", port=number, target=target, protocol=protocol))
            services.append(_service(name, number, protocol, enforced))
        document = l7.composed(
            waypoint.documents(_view(port, tuple(services), tuple(upstreams))),
            run=True,
            admin=str(directory / "admin.sock"),
            authority=authority,
        )
        held.enter_context(envoy({**document, "stats_config": statistics.config()}, port, directory))
        yield Waypoint(port, directory / "admin.sock", authority, redis)


def _service(name: str, port: int, protocol: PortProtocol, enforced: Enforced) -> ServedService:
    ports = (ServedPort(port, protocol, destinations=(l7.to(name, port),)),)
    return ServedService(f"shop/{l7.host(name)}", l7.host(name), "shop", name, (), ports, enforced)


def _view(port: int, services: tuple[ServedService, ...], upstreams: tuple[Upstream, ...]) -> WaypointView:
    proxy = l7.proxy("waypoint", "waypoint")
    return WaypointView(proxy, l7.SETTINGS, services, (), upstreams, l7.ENFORCED, ("cluster.local",), port=port)


def test_commands_of_redis_are_counted_and_keys_parted_by_the_hash_of_the_destination_rule(shared: Waypoint) -> None:
    names = [f"key-{number}" for number in range(20)]
    for name in names:
        assert shared.call("redis", 6379, calls.command("SET", name, f"of {name}")) == b"+OK\r\n"
        assert shared.call("redis", 6379, calls.command("GET", name)).endswith(f"of {name}\r\n".encode())
    first, second = (set(each.held) for each in shared.redis)
    assert first and second and not first & second and first | second == set(names)
    prefix = f"inbound-vip|6379|tcp|{l7.host('redis')}"
    for word in ("set", "get"):
        assert shared.page().value(f"envoy_redis_command_{word}_total", redis_prefix=prefix) == 20


def test_one_request_of_many_keys_is_parted_too(shared: Waypoint) -> None:
    for name in ("a", "b", "c", "d", "e"):
        shared.call("redis", 6379, calls.command("SET", name, name))
    answer = shared.call("redis", 6379, calls.command("MGET", "a", "b", "c", "d", "e"))
    assert answer == b"*5\r\n" + b"".join(b"$1\r\n%s\r\n" % name for name in (b"a", b"b", b"c", b"d", b"e"))


def test_a_command_that_cannot_be_routed_is_refused_by_the_proxy(shared: Waypoint) -> None:
    assert shared.call("redis", 6379, calls.command("SUBSCRIBE", "news")).startswith(b"-ERR unknown command")


def test_calls_of_thrift_are_answered_and_counted(shared: Waypoint) -> None:
    assert shared.call("thrift", 9090, calls.thrift_call("ping")) == calls.thrift_call("ping", 2)
    prefix = f"inbound-vip|9090|tcp|{l7.host('thrift')}"
    assert shared.page().value("envoy_thrift_request_call", thrift_prefix=prefix) == 1
    assert shared.page().value("envoy_thrift_response_success", thrift_prefix=prefix) == 1


def test_calls_of_dubbo_are_answered_and_counted(shared: Waypoint) -> None:
    answer = shared.call("dubbo", 20880, calls.dubbo_call("org.example.Greeter", "greet"))
    assert answer == calls.dubbo_answer()
    prefix = f"inbound-vip|20880|tcp|{l7.host('dubbo')}"
    assert shared.page().value("envoy_dubbo_response_success", dubbo_prefix=prefix) == 1


def test_mongo_is_listened_to(shared: Waypoint) -> None:
    assert shared.call("mongo", 27017, calls.mongo_query("shop.cart")) == calls.mongo_reply()
    assert shared.call("mongo", 27017, b"\x10\x00\x00\x00 not mongo at all")[:0] == b""
    prefix = f"inbound-vip|27017|tcp|{l7.host('mongo')}"
    assert shared.page().value("envoy_mongo_op_query", mongo_prefix=prefix) == 1


CALLS = {
    "redis": (6379, calls.command("GET", "key-1")),
    "thrift": (9090, calls.thrift_call("ping")),
    "dubbo": (20880, calls.dubbo_call("org.example.Greeter", "greet")),
    "mongo": (27017, calls.mongo_query("shop.cart")),
}


@pytest.mark.parametrize("service", CALLS)
def test_a_policy_judges_the_connection_before_any_call_is_read(shared: Waypoint, service: str) -> None:
    assert shared.call(service, *CALLS[service], CLIENT)
    assert shared.call(service, *CALLS[service], OTHER) == b""
