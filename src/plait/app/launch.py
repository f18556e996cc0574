"""Starting a local mesh from a command: choose its addresses, leave no half-dead predecessor, fork the supervisor.

The command that calls `start` gets the supervisor's progress as lines and decides how they look.
"""

from __future__ import annotations

import fcntl
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from plait.app import supervisor, teardown
from plait.base.wellknown import EAGER
from plait.local import fabric, preflight, space
from plait.local.addresses import FAMILIES, FIRST_INDEX, IPV6, LAST_INDEX
from plait.local.layout import Layout
from plait.local.record import FORMS, ProcessId, Record, all_records, load, save

DEFAULT_PORT = 16443
MOST_NODES = 16
DAY, SHORTEST = 24 * 3600.0, 10.0


class LaunchError(Exception):
    """The mesh cannot start; the message names the reason and the way out."""


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Only one command at a time may start or stop a mesh of this name."""
    layout.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(layout.lock, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LaunchError(
                f"another plait command is starting or stopping mesh {layout.name!r}; wait until it is done"
            ) from error
        try:
            yield
        finally:
            layout.lock.unlink(missing_ok=True)
            with suppress(OSError):  # not empty while another mesh is up
                layout.lock.parent.rmdir()


def prepare(
    layout: Layout,
    nodes: int,
    port: int,
    capture: str = FORMS[0],
    *,
    certificate_lifetime: float = DAY,
    ztunnel: str = "",
    dns_capture: bool = True,
    eager: int = EAGER,
    ip_families: tuple[str, ...] = FAMILIES[0],
) -> Record:
    """Check the machine, clean up after a crash, choose addresses and port; the record is written."""
    if missing := preflight.missing():
        raise LaunchError("\n".join(f"{check.name}: {check.detail}; {check.fix}" for check in missing))
    if excess := layout.too_long:
        raise LaunchError(
            f"{layout.root}: {excess} characters too long for the sockets of a mesh, which the kernel bounds; "
            f"take a shorter name or set PLAIT_HOME to a shorter directory, such as /tmp/plait"
        )
    if capture not in FORMS:
        raise LaunchError(f"--capture {capture}: say {' or '.join(FORMS)}")
    if certificate_lifetime < SHORTEST:
        raise LaunchError(f"--certificate-lifetime {certificate_lifetime:g}: at least {SHORTEST:g} seconds")
    if ztunnel and not os.access(ztunnel, os.X_OK):
        raise LaunchError(f"--ztunnel {ztunnel}: not a program that can be run; give the path of a ztunnel binary")
    if ztunnel and capture != FORMS[0]:
        raise LaunchError(f"--capture {capture}: a foreign ztunnel is used with {FORMS[0]} only")
    if ztunnel and ip_families == (IPV6,):
        raise LaunchError("--ip-families IPv6: a foreign ztunnel is not used in a mesh of IPv6 alone; add IPv4")
    if ip_families not in FAMILIES:
        known = " or ".join(map(",".join, FAMILIES))
        raise LaunchError(f"--ip-families {','.join(ip_families)}: say {known}")
    if ip_families != FAMILIES[0] and (lacking := preflight.ipv6()):
        raise LaunchError(f"--ip-families {','.join(ip_families)}: {lacking}")
    if not 1 <= nodes <= MOST_NODES:
        raise LaunchError(f"--nodes {nodes}: a local mesh has 1 to {MOST_NODES} nodes")
    if previous := load(layout):
        if previous.supervisor.alive():
            raise LaunchError(
                f"mesh {layout.name!r} is already up (process {previous.supervisor.pid}): see `plait status`, "
                f"end it with `plait down`, or start another one with --name"
            )
        teardown.stop(layout, previous)
    names = tuple(f"node-{number}" for number in range(1, nodes + 1))
    with _choosing(layout):
        others = [record for record in all_records() if record.name != layout.name]
        record = Record(
            name=layout.name,
            index=_free_index(layout.name, {other.index for other in others}),
            nodes=names,
            port=_choose_port(port, {other.port for other in others if other.supervisor.alive()}),
            supervisor=ProcessId.of(os.getpid()),
            rootless=space.rootless(),
            capture=capture,
            certificate_lifetime=certificate_lifetime,
            ztunnel=ztunnel,
            dns_capture=dns_capture,
            eager=eager,
            ip_families=ip_families,
        )
        save(layout, record)
    return record


@contextmanager
def _choosing(layout: Layout) -> Iterator[None]:
    """Meshes that start side by side choose addresses and ports one after another: each sees the others' records."""
    folder = os.open(layout.root.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _free_index(name: str, others: set[int]) -> int:
    """A /16 that nobody uses: derived from the name so that a mesh keeps its addresses where it can."""
    taken = fabric.taken_indexes() | others
    count = LAST_INDEX - FIRST_INDEX + 1
    first = zlib.crc32(name.encode()) % count
    for step in range(count):
        index = FIRST_INDEX + (first + step) % count
        if index not in taken:
            return index
    raise LaunchError(f"no free address range between 10.{FIRST_INDEX}.0.0/16 and 10.{LAST_INDEX}.0.0/16")


def _choose_port(port: int, others: set[int]) -> int:
    """`others` are ports of meshes that are up, or are coming up and do not listen yet."""
    if port:
        if port in others or preflight.free_port(port) is None:
            raise LaunchError(f"--port {port}: 127.0.0.1:{port} is in use; leave --port out to take any free one")
        return port
    for wanted in (DEFAULT_PORT, *[0] * (len(others) + 1)):
        if wanted not in others and (chosen := preflight.free_port(wanted)) is not None and chosen not in others:
            return chosen
    raise LaunchError("no free TCP port on 127.0.0.1 for the API server")


def start(layout: Layout, record: Record) -> IO[str]:
    """Fork the supervisor into a session of its own; its progress comes as lines, the end of file is its end."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, False)
    layout.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.fork() == 0:
        _become_supervisor(layout, record, reader, writer)
    os.close(writer)
    return os.fdopen(reader, "r")


def _become_supervisor(layout: Layout, record: Record, reader: int, writer: int) -> None:
    code = 1
    try:
        os.close(reader)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(layout.logs / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        with os.fdopen(writer, "w", buffering=1) as pipe:
            supervisor.run(layout, record, lambda line: _tell(pipe, line))
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _tell(pipe: IO[str], line: str) -> None:
    try:
        pipe.write(line + "\n")
    except BrokenPipeError:  # the command that started us has gone; we stay
        return
