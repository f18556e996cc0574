"""ZDS: the session's order, the bytes by field number, and real sockets with descriptors."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from kit.zds_client import ACK, HELLO_V1, Client, error, read
from plait.node.zds import Pod, ProtocolError, Server, ServeRefused, Session

OWN = Path("/proc/self/ns/net")


def pod(uid: str, netns: Path = OWN) -> Pod:
    return Pod(uid, f"name-{uid}", "shop", "order", netns)


def test_nothing_is_said_before_the_hello() -> None:
    session = Session({})
    assert session.next() is None
    session.receive(HELLO_V1)
    told = session.next()
    assert told is not None and told.verb == "snapshot"


def test_an_unknown_version_ends_the_connection() -> None:
    with pytest.raises(ProtocolError, match="version 1"):
        Session({}).receive(b"\x08\x02")


def test_each_message_waits_for_the_answer_to_the_one_before() -> None:
    session = Session({"a": pod("a")})
    session.receive(HELLO_V1)
    session.add(pod("b"))
    session.remove("a")
    said = []
    while (told := session.next()) is not None:
        assert session.next() is None
        said.append((told.verb, told.uid))
        session.receive(ACK)
    assert said == [("add", "a"), ("snapshot", ""), ("add", "b"), ("del", "a")]
    assert session.synchronised


def test_an_answer_to_nothing_ends_the_connection() -> None:
    session = Session({})
    session.receive(HELLO_V1)
    with pytest.raises(ProtocolError):
        session.receive(ACK)


@pytest.mark.parametrize("garbage", [b"\xff\xff", b"\x0a\x05a"])
def test_bytes_that_are_no_message_end_the_connection(garbage: bytes) -> None:
    with pytest.raises(ProtocolError):
        Session({}).receive(garbage)


def test_messages_have_the_protocols_field_numbers() -> None:
    session = Session({"u1": pod("u1")})
    session.receive(HELLO_V1)
    session.remove("u1")
    said = []
    while (told := session.next()) is not None:
        said.append(read(told.encode()))
        session.receive(ACK)
    assert [(one.member, one.uid) for one in said] == [(1, "u1"), (3, ""), (2, "u1")]
    assert said[0].info == ("name-u1", "shop", "order")


def test_a_pod_that_cannot_be_opened_is_named_by_keep() -> None:
    session = Session({"u1": pod("u1")})
    session.receive(HELLO_V1)
    told = session.next()
    assert told is not None
    kept = read(session.unopened(told).encode())
    assert (kept.member, kept.uid) == (5, "u1")


async def test_the_client_gets_the_pods_namespace_as_descriptor(tmp_path: Path) -> None:
    server = Server(tmp_path / "z.sock")
    await server.start()
    try:
        serving = asyncio.ensure_future(server.serve(pod("u1")))
        await asyncio.sleep(0)
        client = await asyncio.to_thread(Client, tmp_path / "z.sock")
        said = await asyncio.to_thread(client.hear)
        assert said.fd is not None and said.member == 1
        assert os.fstat(said.fd).st_ino == OWN.stat().st_ino
        os.close(said.fd)
        assert not serving.done(), "the pod is served when the proxy says so"
        client.answer()
        await asyncio.wait_for(serving, 5)
        assert (await asyncio.to_thread(client.hear)).member == 3
        client.answer()
        await server.withdraw("u1")
        gone = await asyncio.to_thread(client.hear)
        assert (gone.member, gone.uid, gone.fd) == (2, "u1", None)
        client.answer()
        client.close()
    finally:
        await server.close()


async def test_a_refusal_reaches_the_caller_in_the_proxys_words(tmp_path: Path) -> None:
    server = Server(tmp_path / "z.sock")
    await server.start()
    try:
        serving = asyncio.ensure_future(server.serve(pod("u1")))
        await asyncio.sleep(0)
        client = await asyncio.to_thread(Client, tmp_path / "z.sock")
        await asyncio.to_thread(client.hear)
        client.answer(error("no room"))
        with pytest.raises(ServeRefused, match="no room"):
            await asyncio.wait_for(serving, 5)
        client.close()
    finally:
        await server.close()


async def test_a_pod_whose_namespace_is_gone_is_kept_not_added(tmp_path: Path) -> None:
    server = Server(tmp_path / "z.sock")
    await server.start()
    try:
        serving = asyncio.ensure_future(server.serve(pod("u1", tmp_path / "absent")))
        await asyncio.sleep(0)
        client = await asyncio.to_thread(Client, tmp_path / "z.sock")
        said = await asyncio.to_thread(client.hear)
        assert (said.member, said.uid, said.fd) == (5, "u1", None)
        client.answer()
        with pytest.raises(ServeRefused, match="namespace"):
            await asyncio.wait_for(serving, 5)
        client.close()
    finally:
        await server.close()


async def test_a_proxy_that_comes_back_hears_all_pods_again(tmp_path: Path) -> None:
    lost = asyncio.Event()
    server = Server(tmp_path / "z.sock", lost.set)
    await server.start()
    try:
        for attempt in range(2):
            serving = [asyncio.ensure_future(server.serve(pod(uid))) for uid in ("u1", "u2")] if not attempt else []
            await asyncio.sleep(0)
            client = await asyncio.to_thread(Client, tmp_path / "z.sock")
            heard = []
            for _ in range(3):
                said = await asyncio.to_thread(client.hear)
                if said.fd is not None:
                    os.close(said.fd)
                heard.append((said.member, said.uid))
                client.answer()
            assert heard == [(1, "u1"), (1, "u2"), (3, "")]
            await asyncio.wait_for(asyncio.gather(*serving), 5)
            lost.clear()
            client.close()
            await asyncio.wait_for(lost.wait(), 5)
    finally:
        await server.close()


async def test_a_successor_is_asked_while_the_old_proxy_drains_and_both_hear_of_an_end(tmp_path: Path) -> None:
    lost = asyncio.Event()
    server = Server(tmp_path / "z.sock", lost.set)
    await server.start()
    try:
        old, new = Client(tmp_path / "z.sock"), None
        assert (await asyncio.to_thread(old.hear)).member == 3
        old.answer()
        new = await asyncio.to_thread(Client, tmp_path / "z.sock")
        assert (await asyncio.to_thread(new.hear)).member == 3
        new.answer()
        serving = asyncio.ensure_future(server.serve(pod("u1")))
        said = await asyncio.to_thread(new.hear)
        assert said.member == 1 and said.fd is not None
        os.close(said.fd)
        new.answer()
        await asyncio.wait_for(serving, 5)
        await server.withdraw("u1")
        ends = [await asyncio.to_thread(each.hear) for each in (old, new)]
        assert [(each.member, each.uid) for each in ends] == [(2, "u1"), (2, "u1")]
        old.close()
        async with asyncio.timeout(5):
            while len(server._peers) > 1:
                await asyncio.sleep(0)
        assert not lost.is_set(), "the old one may go"
        new.close()
        await asyncio.wait_for(lost.wait(), 5)
    finally:
        await server.close()
