from __future__ import annotations

import asyncio
import socket
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import pytest

from plait.base import aio
from plait.base import dns_wire as wire
from plait.local.dns import Resolver, means
from plait.local.zone import Zone


def ask(name: str, type: int = wire.A, number: int = 0, edns: int = 0) -> bytes:
    head = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 1 if edns else 0)
    opt = b"\x00" + struct.pack("!HHIH", wire.OPT, edns, 0, 0) if edns else b""
    return head + wire.encode_name(name) + struct.pack("!HH", type, 1) + opt


def read_name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


def said(message: bytes | None) -> tuple[int, list[str]]:
    """(code, answers as text): our replies have no compressed names."""
    assert message
    _, flags, questions, answers, _, _ = struct.unpack_from("!HHHHHH", message)
    at = 12
    for _ in range(questions):
        at = read_name(message, at)[1] + 4
    texts = []
    for _ in range(answers):
        name, at = read_name(message, at)
        type_, _, _, size = struct.unpack_from("!HHIH", message, at)
        data, at = message[at + 10 : at + 10 + size], at + 10 + size
        if type_ == wire.A:
            texts.append(f"{name} {IPv4Address(data)}")
        elif type_ == wire.AAAA:
            texts.append(f"{name} {IPv6Address(data)}")
        elif type_ == wire.SRV:
            texts.append(f"{name} {read_name(data, 6)[0]}:{struct.unpack_from('!H', data, 4)[0]}")
        else:
            texts.append(f"{name} -> {read_name(data, 0)[0]}")
    return flags & 15, texts


def service(name: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def endpoint(address: str, ready: bool = True, **more: Any) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": ready}, **more}


PEERS = {
    "metadata": {"name": "peers-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "peers"}},
    "endpoints": [
        endpoint("10.64.1.2", hostname="peer-0"),
        endpoint("10.64.1.3"),
        endpoint("10.64.1.4", ready=False),
    ],
    "ports": [{"name": "gossip", "port": 7000, "protocol": "UDP"}],
}
ENTRIES = [
    {"spec": {"hosts": ["api.example.org"], "addresses": ["192.0.2.1"]}},
    {"spec": {"hosts": ["*.example.net"], "addresses": ["192.0.2.5"]}},
    {
        "spec": {"hosts": ["given.example.com"]},
        "status": {"addresses": [{"value": "240.240.0.5", "host": "given.example.com"}]},
    },
]
ZONE = Zone(
    [
        service("web", clusterIP="10.64.128.20", ports=[{"name": "http", "port": 80}]),
        service("peers", clusterIP="None"),
        service("out", type="ExternalName", externalName="web.shop.svc.cluster.local"),
        service("kubernetes", "default", clusterIP="10.64.128.1"),
    ],
    [PEERS],
    ENTRIES,
    networks=(IPv4Network("10.64.0.0/16"),),
)
WEB = "web.shop.svc.cluster.local"


def test_a_service_name_is_its_cluster_address() -> None:
    assert said(ZONE.answer(ask(WEB))) == (0, [f"{WEB} 10.64.128.20"])
    assert said(ZONE.answer(ask("web.shop.svc"))) == (0, ["web.shop.svc 10.64.128.20"])
    assert said(ZONE.answer(ask("kubernetes.default.svc.cluster.local")))[1] == [
        "kubernetes.default.svc.cluster.local 10.64.128.1"
    ]


@pytest.mark.parametrize("name", ["Web.Shop.svc.cluster.local", "WEB.shop.SVC.cluster.local"])
def test_spelling_does_not_matter_and_is_repeated(name: str) -> None:
    reply = ZONE.answer(ask(name))
    assert said(reply)[1][0].endswith("10.64.128.20")
    assert reply is not None and wire.encode_name(name) in reply


def test_an_existing_name_without_the_type_is_no_data_and_an_unknown_one_does_not_exist() -> None:
    assert said(ZONE.answer(ask(WEB, wire.AAAA))) == (wire.NO_ERROR, [])
    assert said(ZONE.answer(ask("shop.svc.cluster.local"))) == (wire.NO_ERROR, [])
    assert said(ZONE.answer(ask("nobody.shop.svc.cluster.local"))) == (wire.NAME_ERROR, [])
    assert said(ZONE.answer(ask("example.org.shop.svc.cluster.local"))) == (wire.NAME_ERROR, [])


def test_a_headless_name_is_its_ready_pods() -> None:
    name = "peers.shop.svc.cluster.local"
    assert sorted(said(ZONE.answer(ask(name)))[1]) == [f"{name} 10.64.1.2", f"{name} 10.64.1.3"]
    assert said(ZONE.answer(ask(f"peer-0.{name}")))[1] == [f"peer-0.{name} 10.64.1.2"]
    assert said(ZONE.answer(ask(f"10-64-1-3.{name}")))[1] == [f"10-64-1-3.{name} 10.64.1.3"]


def test_the_first_address_changes_from_query_to_query() -> None:
    firsts = {said(ZONE.answer(ask("peers.shop.svc.cluster.local", number=n)))[1][0] for n in range(2)}
    assert len(firsts) == 2


def test_services_have_ports_and_addresses_have_names() -> None:
    name = f"_http._tcp.{WEB}"
    assert said(ZONE.answer(ask(name, wire.SRV)))[1] == [f"{name} {WEB}:80"]
    gossip = said(ZONE.answer(ask("_gossip._udp.peers.shop.svc.cluster.local", wire.SRV)))[1]
    assert any("peer-0.peers.shop.svc.cluster.local:7000" in text for text in gossip)
    back = "20.128.64.10.in-addr.arpa"
    assert said(ZONE.answer(ask(back, wire.PTR)))[1] == [f"{back} -> {WEB}"]
    assert said(ZONE.answer(ask("9.9.64.10.in-addr.arpa", wire.PTR)))[0] == wire.NAME_ERROR


def test_an_external_name_is_an_alias_followed_where_we_can() -> None:
    name = "out.shop.svc.cluster.local"
    assert said(ZONE.answer(ask(name)))[1] == [f"{name} -> {WEB}", f"{WEB} 10.64.128.20"]


def test_service_entry_hosts_have_stated_addresses_and_allocated_ones_are_for_captured_pods_only() -> None:
    assert said(ZONE.answer(ask("api.example.org")))[1] == ["api.example.org 192.0.2.1"]
    assert said(ZONE.answer(ask("a.b.example.net")))[1] == ["a.b.example.net 192.0.2.5"]
    assert ZONE.answer(ask("given.example.com")) is None
    assert ZONE.answer(ask("example.net")) is None


def test_other_names_are_forwarded() -> None:
    assert ZONE.answer(ask("example.com")) is None
    assert ZONE.answer(ask("1.2.0.192.in-addr.arpa", wire.PTR)) is None


def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp() -> None:
    many = {**PEERS, "endpoints": [endpoint(f"10.64.1.{n}") for n in range(2, 92)]}
    zone = Zone([service("peers", clusterIP="None")], [many])
    query = ask("peers.shop.svc.cluster.local")
    short, whole = zone.answer(query), zone.answer(query, tcp=True)
    assert short is not None and len(short) <= 512 and short[2] & 0x02
    assert whole is not None and not whole[2] & 0x02 and len(said(whole)[1]) == 90
    roomy = zone.answer(ask("peers.shop.svc.cluster.local", edns=1232))
    assert roomy is not None and 512 < len(roomy) <= 1232


async def test_udp_and_tcp_clients_are_answered_and_foreign_names_fail_fast_without_upstreams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    task = aio.spawn(Resolver(ZONE).serve("127.0.0.1", port), "dns")
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
            for name, want in ((WEB, (0, [f"{WEB} 10.64.128.20"])), ("example.com", (wire.SERVER_FAILURE, []))):
                query = ask(name)
                writer.write(len(query).to_bytes(2) + query)
                size = int.from_bytes(await reader.readexactly(2))
                assert said(await reader.readexactly(size)) == want
                assert said(await asyncio.to_thread(_udp, port, query)) == want
            writer.close()
    finally:
        await aio.cancel(task)


def _udp(port: int, query: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(query, ("127.0.0.1", port))
        return client.recv(4096)


def test_a_status_or_a_new_version_is_no_change_of_names() -> None:
    before = {"metadata": {"name": "e", "resourceVersion": "1"}, "spec": {"hosts": ["a.test"]}}
    after = {**before, "metadata": {"name": "e", "resourceVersion": "2"}, "status": {"conditions": [{}]}}
    assert means(before) == means(after)


@pytest.mark.parametrize(
    "after",
    [
        None,
        {"metadata": {}, "spec": {"hosts": ["b.test"]}},
        {"metadata": {"labels": {"kubernetes.io/service-name": "s"}}, "spec": {"hosts": ["a.test"]}},
        {"metadata": {}, "spec": {"hosts": ["a.test"]}, "endpoints": [{"addresses": ["10.0.0.1"]}]},
    ],
)
def test_whatever_else_changes_is_read_again(after: dict[str, Any] | None) -> None:
    assert means({"metadata": {}, "spec": {"hosts": ["a.test"]}}) != means(after)


def test_the_other_family_has_names_in_both_directions() -> None:
    six = {**PEERS, "addressType": "IPv6", "endpoints": [endpoint("fd70::2")]}
    both = service("both", clusterIP="10.64.128.21", clusterIPs=["10.64.128.21", "fd70::80:15"])
    networks = (IPv4Network("10.64.0.0/16"), IPv6Network("fd70::/56"))
    zone = Zone([both, service("peers", clusterIP="None")], [PEERS, six], networks=networks)
    name = "both.shop.svc.cluster.local"
    assert said(zone.answer(ask(name, wire.AAAA)))[1] == [f"{name} fd70::80:15"]
    assert said(zone.answer(ask(name)))[1] == [f"{name} 10.64.128.21"]
    back = ip_address("fd70::80:15").reverse_pointer
    assert said(zone.answer(ask(back, wire.PTR)))[1] == [f"{back} -> {name}"]
    assert said(zone.answer(ask(ip_address("fd70::9").reverse_pointer, wire.PTR)))[0] == wire.NAME_ERROR
    assert zone.answer(ask(ip_address("2001:db8::9").reverse_pointer, wire.PTR)) is None
    pod = "fd70--2.shop.pod.cluster.local"
    assert said(zone.answer(ask(pod, wire.AAAA)))[1] == [f"{pod} fd70::2"]
    assert said(zone.answer(ask(pod))) == (wire.NO_ERROR, [])
    peers = "peers.shop.svc.cluster.local"
    assert said(zone.answer(ask(peers, wire.AAAA)))[1] == [f"{peers} fd70::2"]
