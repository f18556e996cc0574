"""What the namespace of a pod with a sidecar must contain, as data: TCP in to 15006, TCP out to 15001.

The rules are Istio's, of both interception modes. They are written by the node's agent before any container starts, so
a pod needs no privileged init container and no moment of its life is uncaptured. With REDIRECT the proxy is known by
its user. With TPROXY it is root, because it speaks from its clients' addresses, and is known by its group; answers to
those addresses find it by a mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from plait.base.wellknown import (
    HBONE_PORT,
    INBOUND_PLAINTEXT_PORT,
    METRICS_PORT,
    OUTBOUND_PORT,
    PROBE_SNAT_IP,
    PROXY_UID,
    READY_PORT,
    TPROXY_MARK,
    TPROXY_SELF_MARK,
    TPROXY_TABLE,
)
from plait.node.rules import PROBE_SNAT_IP6, Family, PolicyRule, Rules
from plait.resources.redirection import Redirection

_OWN_PORTS: Final = (15090, READY_PORT, METRICS_PORT)
INBOUND_SOURCE6: Final = "::6"  # an address of the pod's loopback device that capture puts there
# From here the proxy connects to its application (Istio's convention).
_INBOUND_SOURCE: Final[Mapping[Family, str]] = {4: "127.0.0.6/32", 6: f"{INBOUND_SOURCE6}/128"}
_LOOPBACK: Final[Mapping[Family, str]] = {4: "127.0.0.1/32", 6: "::1/128"}
_PROBES: Final[Mapping[Family, str]] = {4: f"{PROBE_SNAT_IP}/32", 6: f"{PROBE_SNAT_IP6}/128"}
_ANY: Final[Mapping[Family, str]] = {4: "0.0.0.0", 6: "::"}
_CALLS: Final = {"PREROUTING": "ISTIO_INBOUND", "OUTPUT": "ISTIO_OUTPUT"}
_MARK: Final = f"{TPROXY_MARK:#x}/0xffffffff"
_SELF: Final = f"{TPROXY_SELF_MARK:#x}/0xffffffff"
_ALL: Final = "--nfmask 0xffffffff --ctmask 0xffffffff"


def capture(wanted: Redirection, family: Family = 4) -> Rules:
    """The chains of one family, in the order in which they decide."""
    outbound = tuple(_outbound(wanted, family))
    if wanted.mode == "REDIRECT":
        inbound = tuple(_inbound(wanted, family, f"-j REDIRECT --to-ports {INBOUND_PLAINTEXT_PORT}"))
        return Rules({"nat": {"ISTIO_INBOUND": inbound, "ISTIO_OUTPUT": outbound}}, {"nat": _CALLS})
    mangle = {
        "ISTIO_INBOUND": (*_ours(family), *_inbound(wanted, family, "-j ISTIO_TPROXY", "-j ISTIO_DIVERT")),
        "ISTIO_OUTPUT": tuple(_marked(family)),
        "ISTIO_DIVERT": (f"-j MARK --set-xmark {_MARK}", "-j ACCEPT"),
        "ISTIO_TPROXY": (
            f"! -d {_LOOPBACK[family]} -p tcp -j TPROXY --on-port {INBOUND_PLAINTEXT_PORT} --on-ip {_ANY[family]}"
            f" --tproxy-mark {_MARK}",
        ),
    }
    return Rules(
        {"mangle": mangle, "nat": {"ISTIO_OUTPUT": outbound}},
        {"mangle": _CALLS, "nat": {"OUTPUT": "ISTIO_OUTPUT"}},
    )


def route(wanted: Redirection) -> PolicyRule | None:
    """Packets with the mark are for this pod whatever their destination."""
    return PolicyRule(TPROXY_MARK, 0xFFFFFFFF, TPROXY_TABLE) if wanted.mode == "TPROXY" else None


def _ours(family: Family) -> Iterator[str]:
    """What the proxy itself sends, to the application: not captured again; its answers are known by a mark."""
    yield f"-p tcp -m mark --mark {TPROXY_MARK:#x} -j CONNMARK --save-mark {_ALL}"
    yield f"-p tcp -m mark --mark {TPROXY_MARK:#x} -j RETURN"
    yield f"-s {_INBOUND_SOURCE[family]} -i lo -p tcp -j RETURN"
    yield f"-i lo -p tcp -m mark ! --mark {TPROXY_SELF_MARK:#x} -j RETURN"


def _marked(family: Family) -> Iterator[str]:
    yield f"-o lo -p tcp -m mark --mark {TPROXY_MARK:#x} -j RETURN"
    # A call of the pod to itself by way of a service: out of the proxy and in through it once more.
    yield f"! -d {_LOOPBACK[family]} -o lo -p tcp -m owner --gid-owner {PROXY_UID} -j MARK --set-xmark {_SELF}"
    yield f"-p tcp -m connmark --mark {TPROXY_MARK:#x} -j CONNMARK --restore-mark {_ALL}"


def _inbound(wanted: Redirection, family: Family, to: str, living: str = "") -> Iterator[str]:
    """`living`: what happens to packets of connections that are known already."""
    yield f"-p tcp --dport {HBONE_PORT} -j RETURN"  # the proxy listens there itself
    # The kubelet's probes, which its node sends from an address that nobody else may use: they pass also under STRICT.
    yield f"-s {_PROBES[family]} -p tcp -j RETURN"
    for port in sorted({*_OWN_PORTS, *wanted.exclude_inbound_ports}):
        yield f"-p tcp --dport {port} -j RETURN"
    if wanted.no_inbound:
        return
    if living:
        yield f"-p tcp -m conntrack --ctstate RELATED,ESTABLISHED {living}"
    for port in wanted.include_inbound_ports:
        yield f"-p tcp --dport {port} {to}"
    if not wanted.include_inbound_ports:
        yield f"-p tcp {to}"


def _outbound(wanted: Redirection, family: Family) -> Iterator[str]:
    to = f"-j REDIRECT --to-ports {OUTBOUND_PORT}"
    for port in sorted(wanted.exclude_outbound_ports):
        yield f"-p tcp --dport {port} -j RETURN"
    yield f"-s {_INBOUND_SOURCE[family]} -o lo -j RETURN"
    proxy = f"--uid-owner {PROXY_UID}" if wanted.mode == "REDIRECT" else f"--gid-owner {PROXY_UID}"
    if wanted.mode == "REDIRECT":
        # A call of the pod to itself by way of a service: out of the proxy and in through it once more.
        yield (
            f"! -d {_LOOPBACK[family]} -o lo -p tcp ! --dport {HBONE_PORT} -m owner {proxy}"
            f" -j REDIRECT --to-ports {INBOUND_PLAINTEXT_PORT}"
        )
    yield f"-o lo -m owner ! {proxy} -j RETURN"
    yield f"-m owner {proxy} -j RETURN"
    yield f"-d {_PROBES[family]} -p tcp -j RETURN"
    yield f"-d {_LOOPBACK[family]} -j RETURN"
    for block in _of_family(wanted.exclude_outbound, family):
        yield f"-d {block} -j RETURN"
    for port in wanted.include_outbound_ports:
        yield f"-p tcp --dport {port} {to}"
    if wanted.no_outbound:
        return
    for block in _of_family(wanted.include_outbound, family):
        yield f"-d {block} -p tcp {to}"
    if not wanted.include_outbound:
        yield f"-p tcp {to}"


def _of_family(blocks: Iterable[str], family: Family) -> Iterator[str]:
    return (block for block in blocks if (":" in block) == (family == 6))
