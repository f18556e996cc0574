"""Links, addresses and routes of the local fabric: a small typed façade over pyroute2 (netlink).

Every function acts in the calling thread's network namespace or, with `netns`, inside that one, and is idempotent
where a repeat is natural. Blocking: call from a worker thread (`asyncio.to_thread`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from plait.base import netns as namespaces
from plait.local.addresses import Address, Network

_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_NO_DAD = 0x02  # IFA_F_NODAD: nobody else has our addresses, so they are used at once


@contextmanager
def _netlink(netns: Path | None) -> Iterator[Any]:
    with nullcontext() if netns is None else namespaces.inside(netns), IPRoute() as ipr:
        yield ipr


def _index(ipr: Any, name: str) -> int:
    found = ipr.link_lookup(ifname=name)
    if not found:
        raise LookupError(f"no network interface {name!r}")
    return int(found[0])


def exists(name: str, netns: Path | None = None) -> bool:
    with _netlink(netns) as ipr:
        return bool(ipr.link_lookup(ifname=name))


def bridge(name: str, netns: Path | None = None) -> None:
    """A bridge, up."""
    with _netlink(netns) as ipr:
        _ignoring(errno.EEXIST, ipr.link, "add", ifname=name, kind="bridge")
        ipr.link("set", index=_index(ipr, name), state="up")


def veth(name: str, peer: str, *, netns: Path | None = None, peer_netns: Path | None = None) -> None:
    """A veth pair: `name` in `netns`, `peer` in `peer_netns` (both down)."""
    with _netlink(netns) as ipr:
        other: dict[str, Any] = {"ifname": peer}
        if peer_netns is None:
            ipr.link("add", ifname=name, kind="veth", peer=other)
            return
        with open(peer_netns, "rb") as handle:
            other["net_ns_fd"] = handle.fileno()
            ipr.link("add", ifname=name, kind="veth", peer=other)


def up(name: str, netns: Path | None = None, *, master: str = "") -> None:
    with _netlink(netns) as ipr:
        index = _index(ipr, name)
        if master:
            ipr.link("set", index=index, master=_index(ipr, master))
        ipr.link("set", index=index, state="up")


def address(name: str, ip: Address, prefix: int, netns: Path | None = None) -> None:
    with _netlink(netns) as ipr:
        spec: dict[str, Any] = {"index": _index(ipr, name), "address": str(ip), "prefixlen": prefix}
        if ip.version == 6:
            spec["flags"] = _NO_DAD
        _ignoring(errno.EEXIST, ipr.addr, "add", **spec)


def route(
    destination: Network,
    *,
    via: Address | None = None,
    device: str = "",
    netns: Path | None = None,
    onlink: bool = False,
    source: Address | None = None,
) -> None:
    """Add or replace one route of the main table; at least `via` or `device` is needed."""
    with _netlink(netns) as ipr:
        spec: dict[str, Any] = {"dst": str(destination), "family": _FAMILY[destination.version]}
        if via is not None:
            spec["gateway"] = str(via)
        elif destination.version == 4:
            spec["scope"] = 253  # RT_SCOPE_LINK: the destination is on the wire
        if device:
            spec["oif"] = _index(ipr, device)
        if onlink:
            spec["flags"] = ["onlink"]
        if source is not None:
            spec["prefsrc"] = str(source)
        ipr.route("replace", **spec)


def remove_route(destination: Network, netns: Path | None = None) -> None:
    with _netlink(netns) as ipr:
        _ignoring(errno.ESRCH, ipr.route, "del", dst=str(destination))


def remove(name: str, netns: Path | None = None) -> None:
    """Delete a link (a veth takes its peer along); nothing happens where there is none."""
    with _netlink(netns) as ipr:
        if found := ipr.link_lookup(ifname=name):
            _ignoring(errno.ENODEV, ipr.link, "del", index=found[0])


def sysctl(values: dict[str, str], netns: Path | None = None) -> None:
    """Write /proc/sys/net values (`ipv4/ip_forward`) of a namespace. A value the kernel refuses raises OSError."""

    def write() -> None:
        for key, value in values.items():
            Path("/proc/sys/net", key).write_text(value)

    if netns is None:
        write()
    else:
        namespaces.call(netns, write)


def _ignoring(code: int, function: Any, *args: Any, **kwargs: Any) -> None:
    try:
        function(*args, **kwargs)
    except NetlinkError as error:
        if error.code != code:
            raise
