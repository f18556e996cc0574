"""Messages: what is answered, denied, sent on, and how."""

from __future__ import annotations

import asyncio
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest

from plait.base import dns_wire as wire
from plait.base.dns_talk import Asked
from plait.base.wellknown import CAPTURE_PROBE_IP, CAPTURE_PROBE_NAME
from plait.model.views.names import Meaning
from plait.proxy.resolver import Resolver, reply

KNOWN = {
    "web.shop.svc.cluster.local": Meaning("web.shop.svc.cluster.local", ("10.64.128.20",)),
    "web": Meaning("web.shop.svc.cluster.local", ("10.64.128.20",)),
    "api.example.org.shop.svc.cluster.local": Meaning("api.example.org", ("240.240.0.1",), alias=True),
    "dual": Meaning("dual.shop.svc.cluster.local", ("10.64.1.2", "fd00::2")),
    "many": Meaning("many.shop.svc.cluster.local", tuple(f"10.64.1.{n}" for n in range(2, 92))),
    "empty": Meaning("empty.shop.svc.cluster.local", ()),
}


def ask(name: str, type: int = wire.A, number: int = 0, *, tcp: bool = False) -> bytes | None:
    return reply(KNOWN.get, wire.question(name, type, number), tcp=tcp)


def records(message: bytes | None) -> tuple[int, list[str], int]:
    """(code, answers, how many authorities)."""
    assert message
    _, flags, _, answers, authorities, _ = struct.unpack_from("!HHHHHH", message)
    at = _name(message, 12)[1] + 4
    found = []
    for _ in range(answers):
        name, at = _name(message, at)
        kind, _, _, size = struct.unpack_from("!HHIH", message, at)
        data = message[at + 10 : at + 10 + size]
        said = _name(message, at + 10)[0] if kind == wire.CNAME else str(ip_address(data))
        found.append(f"{name} {said}")
        at += 10 + size
    return flags & 15, found, authorities


def _name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


def test_a_known_name_is_answered_under_the_name_that_was_asked() -> None:
    assert records(ask("web")) == (wire.NO_ERROR, ["web 10.64.128.20"], 0)


def test_a_name_with_a_foreign_search_domain_is_an_alias() -> None:
    name = "api.example.org.shop.svc.cluster.local"
    assert records(ask(name))[1] == [f"{name} api.example.org", "api.example.org 240.240.0.1"]


def test_each_family_has_its_own_records() -> None:
    assert records(ask("dual"))[1] == ["dual 10.64.1.2"]
    assert records(ask("dual", wire.AAAA))[1] == ["dual fd00::2"]
    assert len(records(ask("dual", wire.ANY))[1]) == 2


@pytest.mark.parametrize("name,type", [("web", wire.AAAA), ("web", 65), ("web", 64), ("empty", wire.A)])
def test_a_name_without_such_a_record_exists_and_the_denial_can_be_kept(name: str, type: int) -> None:
    assert records(ask(name, type)) == (wire.NO_ERROR, [], 1)


@pytest.mark.parametrize("name,type", [("example.com", wire.A), ("web", wire.SRV), ("web", 15), ("web", wire.PTR)])
def test_what_the_mesh_does_not_say_is_sent_on(name: str, type: int) -> None:
    assert ask(name, type) is None


def test_the_first_address_changes_from_question_to_question() -> None:
    assert len({records(ask("many", number=n, tcp=True))[1][0] for n in range(20)}) > 10


def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp() -> None:
    short, whole = ask("many"), ask("many", tcp=True)
    assert short is not None and len(short) <= 512 and short[2] & 0x02
    assert whole is not None and not whole[2] & 0x02 and len(records(whole)[1]) == 90


def test_the_capture_probe_is_answered() -> None:
    assert records(ask(CAPTURE_PROBE_NAME))[1] == [f"{CAPTURE_PROBE_NAME} {CAPTURE_PROBE_IP}"]


def test_garbage_is_no_question_and_an_answer_gets_none() -> None:
    assert reply(KNOWN.get, b"") == b""
    assert reply(KNOWN.get, b"\0" * 12) is not None
    answer = ask("web")
    assert answer is not None and reply(KNOWN.get, answer) == b""


def test_somebody_who_is_not_served_gets_no_answer() -> None:
    class Nobodys:
        def meanings(self, client: str) -> None:
            return None

    server = Resolver(Path("/proc/self/ns/net"), (), Nobodys())  # type: ignore[arg-type]
    assert asyncio.run(server._answer(Asked(wire.question("web", wire.A), ("10.0.0.9", 999)))) == b""
