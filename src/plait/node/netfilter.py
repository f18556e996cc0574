"""Put rule sets into a namespace, compare them with what is there, take them out: iptables-restore and conntrack.

What the rules are is `rules`' answer. Everything here happens inside one namespace and is safe to repeat.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

from plait.base import netns
from plait.node import rules
from plait.node.rules import Family, Rules

_PROGRAM: dict[Family, str] = {4: "iptables", 6: "ip6tables"}
_SEEN_REPLY, _ASSURED, _CONFIRMED = 2, 4, 8
_ADOPTED_SECONDS = 432_000  # the kernel's own default for an established connection


class NetfilterError(Exception):
    """A command failed; the message has the command, the namespace and what it printed."""


async def apply(path: Path, wanted: Rules, family: Family = 4, *, prefix: str = rules.PREFIX) -> bool:
    """Make the namespace's chains of this prefix exactly `wanted`. True when something had to change."""
    steps = rules.repair(await saved(path, family), wanted, prefix)
    if not steps:
        return False
    await command(path, f"{_PROGRAM[family]}-restore", "--noflush", "--wait", stdin=steps)
    return True


async def verify(path: Path, wanted: Rules, family: Family = 4) -> bool:
    """Does the namespace hold exactly these rules?"""
    return rules.matches(await saved(path, family), wanted)


async def remove(path: Path, family: Family = 4) -> bool:
    """Take every rule of ours out of the namespace. True when there was one."""
    return await apply(path, rules.NONE, family)


async def saved(path: Path, family: Family = 4) -> str:
    return await command(path, f"{_PROGRAM[family]}-save")


async def adopt(path: Path, families: Iterable[Family] = (4,)) -> int:
    """Tell connection tracking about the TCP connections that live already; how many were told.

    A namespace without rules does not track. Once rules appear, the next packet of an old connection would be taken for
    the first of a new one and redirected: the connection breaks. A known connection is never looked up in nat again.
    Call it when tracking is on already (`rules.released`): a connection begun in between is then known anyway.
    """
    return await asyncio.to_thread(netns.call, path, _adopt, frozenset(families))


async def forget(path: Path) -> None:
    """Empty the namespace's connection tracking table.

    Entries of an earlier capture outlive its rules and still rewrite packets: a later connection that happens to have
    the same addresses and ports would be sent to a proxy that does not know it.
    """
    await asyncio.to_thread(netns.call, path, _forget)


def _forget() -> None:
    tracker = NFCTSocket()
    try:
        tracker.flush()
    finally:
        tracker.close()


async def forget_questions(path: Path, clients: Iterable[str]) -> None:
    """Of these addresses, whatever they ask of nameservers: their next datagram is looked up in nat again."""
    await asyncio.to_thread(netns.call, path, _forget_questions, frozenset(clients))


def _forget_questions(clients: frozenset[str]) -> None:
    for family in {socket.AF_INET6 if ":" in client else socket.AF_INET for client in clients}:
        tracker = NFCTSocket(nfgen_family=family)
        try:
            # Addresses are compared here: the kernel's own choice by an address of IPv6 finds nothing (seen on 6.18).
            questions = NFCTAttrTuple(family=family, proto=socket.IPPROTO_UDP, dport=53)
            listed = [entry.get_attr("CTA_TUPLE_ORIG") for entry in tracker.dump(tuple_orig=questions)]
            for asked in (NFCTAttrTuple.from_netlink(family, each) for each in listed):
                if asked.proto == questions.proto and asked.dport == questions.dport and asked.saddr in clients:
                    _forgotten(tracker, asked)
        finally:
            tracker.close()


def _forgotten(tracker: NFCTSocket, entry: NFCTAttrTuple) -> None:
    try:
        tracker.entry("del", tuple_orig=entry)
    except NetlinkError as error:
        if error.code != errno.ENOENT:  # it has just expired
            raise


def _adopt(families: frozenset[Family]) -> int:
    told = 0
    connections = [ends for ends in _alive() if (6 if ":" in ends[0][0] else 4) in families]
    if not connections:
        return 0
    tracker = NFCTSocket()
    try:
        for (address, port), (peer, peer_port) in connections:
            there = NFCTAttrTuple(
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                saddr=address,
                daddr=peer,
                proto=socket.IPPROTO_TCP,
                sport=port,
                dport=peer_port,
            )
            try:
                tracker.entry(
                    "add",
                    tuple_orig=there,
                    tuple_reply=there.reverse(),
                    timeout=_ADOPTED_SECONDS,
                    status=_SEEN_REPLY | _ASSURED | _CONFIRMED,
                )
                told += 1
            except NetlinkError as error:
                if error.code != errno.EEXIST:  # tracked already: an earlier capture of the same pod
                    raise
    finally:
        tracker.close()
    return told


_End = tuple[str, int]


# Established, SYN_SENT, SYN_RECV, FIN_WAIT1/2, CLOSE_WAIT: in some direction bytes may still come.
_ALIVE = ("01", "02", "03", "04", "05", "08")


def _alive() -> list[tuple[_End, _End]]:
    """Connections of this namespace that are being opened or carry data, loopback left out."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            _, local, remote, state, *_ = line.split()
            ends = _end(local), _end(remote)
            if state in _ALIVE and not ends[0][0].startswith("127.") and ends[0][0] != "::1":
                found.append(ends)
    return found


def _end(text: str) -> _End:
    """An address as the kernel prints it in words; one of IPv4 on a socket of IPv6 is of IPv4."""
    address, _, port = text.partition(":")
    words = [int(address[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(address), 8)]
    if len(words) == 4 and b"".join(words[:3]) != b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET6, b"".join(words)), int(port, 16)
    return socket.inet_ntop(socket.AF_INET, words[-1]), int(port, 16)


def speaks_ipv6(path: Path) -> bool:
    """Has this kernel IPv6 at all, in this namespace? Blocking."""
    return netns.call(path, Path("/proc/thread-self/net/if_inet6").exists)


def reachable_ipv6(path: Path) -> bool:
    """Has the namespace an IPv6 address beyond the link? Blocking."""
    return netns.call(path, _reachable_ipv6)


def _reachable_ipv6() -> bool:
    """The fourth word of a line is the scope: 10 is the host's own, 20 the link's."""
    file = Path("/proc/thread-self/net/if_inet6")
    rows = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return any(row[3] not in ("10", "20") for row in rows)


def listening(path: Path) -> frozenset[int]:
    """TCP ports with a listener in this namespace: the kernel's word, not the proxy's. Blocking."""
    return netns.call(path, _listening)


def _listening() -> frozenset[int]:
    ports = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        ports |= {int(line.split()[1].rpartition(":")[2], 16) for line in lines if line.split()[3] == "0A"}
    return frozenset(ports)


async def command(path: Path, *command: str, stdin: str = "") -> str:
    """Run a program inside the namespace; its output. NetfilterError with what it printed when it fails."""
    program = shutil.which(command[0]) or shutil.which(command[0], path="/usr/sbin:/sbin")
    if program is None:
        raise NetfilterError(f"{command[0]} is not installed: apt-get install iptables")
    # nsenter moves a process of its own: no thread of ours has to change namespaces for it.
    process = await asyncio.create_subprocess_exec(
        "nsenter",
        f"--net={path}",
        program,
        *command[1:],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    if process.returncode != 0:
        message = err.decode(errors="replace").strip()
        raise NetfilterError(f"{' '.join(command)} in {path.name} failed ({process.returncode}): {message}")
    return out.decode()
