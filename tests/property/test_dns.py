"""No bytes can hurt the resolver, and what it says of the names it knows does not depend on how it is asked."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from plait.base import dns_wire as wire
from plait.local.zone import Zone
from plait.model.index import index_of
from plait.model.mesh import Mesh, NetworkAddress, Service
from plait.model.views.names import lookup
from plait.proxy import resolver

ZONE = Zone([{"metadata": {"name": "web", "namespace": "shop"}, "spec": {"clusterIP": "10.64.128.20"}}])
NAME = "web.shop.svc.cluster.local"


def ask(name: str, type: int) -> bytes:
    head = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    return head + wire.encode_name(name) + struct.pack("!HH", type, 1)


@given(st.binary(max_size=600))
def test_garbage_never_raises_and_never_gets_more_than_it_sent_bytes_for_nothing(data: bytes) -> None:
    reply = ZONE.answer(data)
    assert reply is None or reply == b"" or reply[:2] == data[:2]


@given(st.data())
def test_a_damaged_query_never_raises(data: st.DataObject) -> None:
    query = bytearray(ask(NAME, wire.A))
    for _ in range(data.draw(st.integers(1, 4))):
        query[data.draw(st.integers(0, len(query) - 1))] = data.draw(st.integers(0, 255))
    reply = ZONE.answer(bytes(query[: data.draw(st.integers(0, len(query)))]))
    assert reply is None or len(reply) <= 512


@given(st.lists(st.booleans(), min_size=len(NAME), max_size=len(NAME)), st.booleans())
def test_any_spelling_finds_the_name(upper: list[bool], tcp: bool) -> None:
    name = "".join(c.upper() if up else c for c, up in zip(NAME, upper, strict=True))
    reply = ZONE.answer(ask(name, wire.A), tcp=tcp)
    assert reply is not None and reply[-4:] == bytes([10, 64, 128, 20]) and reply[3] & 15 == 0


names = st.from_regex(r"[a-z0-9_-]{1,20}(\.[a-z0-9-]{1,20}){0,5}", fullmatch=True)


@given(names, st.sampled_from([wire.A, wire.AAAA, wire.SRV, wire.PTR, wire.CNAME, wire.ANY, 15, 65]))
def test_every_name_is_answered_denied_or_forwarded(name: str, type: int) -> None:
    reply = ZONE.answer(ask(f"{name}.cluster.local", type))
    assert reply is not None and reply[3] & 15 in (wire.NO_ERROR, wire.NAME_ERROR)
    assert ZONE.answer(ask(f"{name}.example", type)) is None


MESH = index_of(
    Mesh(
        services={
            service.key: service
            for service in (
                Service("web", "shop", NAME, (NetworkAddress("10.64.128.20"),), canonical=True),
                Service("entry", "shop", "*.example.net", (NetworkAddress("240.240.0.1"),)),
            )
        }
    )
)


def to_a_pod(message: bytes) -> bytes | None:
    return resolver.reply(lambda name: lookup(MESH, "shop", name), message)


@given(st.binary(max_size=600))
def test_no_bytes_hurt_the_meshs_resolver(data: bytes) -> None:
    reply = to_a_pod(data)
    assert reply is None or reply == b"" or reply[:2] == data[:2]


@given(names, st.sampled_from([wire.A, wire.AAAA, wire.SRV, wire.ANY, 15, 65]))
def test_the_mesh_never_denies_a_name_it_does_not_know(name: str, type: int) -> None:
    for asked in (name, f"{name}.cluster.local", f"{name}.example"):
        found = lookup(MESH, "shop", asked)
        reply = to_a_pod(wire.question(asked, type))
        assert (reply is None) if found is None else (reply is None or reply[3] & 15 == wire.NO_ERROR)


@given(names)
def test_what_is_below_a_wildcard_is_its_own_and_a_search_domain_changes_no_meaning(name: str) -> None:
    host = f"{name}.example.net"
    plain, searched = lookup(MESH, "shop", host), lookup(MESH, "shop", f"{host}.shop.svc.cluster.local")
    assert plain is not None and searched is not None
    assert plain.hostname == searched.hostname == host and plain.addresses == searched.addresses
