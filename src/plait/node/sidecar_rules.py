"""What the namespace of a pod with a sidecar must contain, as data: TCP in to 15006, TCP out to 15001.

The rules are Istio's of interception mode REDIRECT. They are written by the node's agent before any container starts,
so a pod needs no privileged init container and no moment of its life is uncaptured. The proxy is known by its user.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from plait.base.wellknown import (
    HBONE_PORT,
    INBOUND_PLAINTEXT_PORT,
    METRICS_PORT,
    OUTBOUND_PORT,
    PROBE_SNAT_IP,
    PROXY_UID,
    READY_PORT,
)
from plait.node.rules import Rules
from plait.resources.redirection import Redirection

_OWN_PORTS: Final = (15090, READY_PORT, METRICS_PORT)
_INBOUND_SOURCE: Final = "127.0.0.6/32"  # from here the proxy connects to its application (Istio's convention)
_LOOPBACK: Final = "127.0.0.1/32"


def capture(wanted: Redirection) -> Rules:
    """The chains, in the order in which they decide."""
    nat = {"ISTIO_INBOUND": tuple(_inbound(wanted)), "ISTIO_OUTPUT": tuple(_outbound(wanted))}
    return Rules({"nat": nat}, {"nat": {"PREROUTING": "ISTIO_INBOUND", "OUTPUT": "ISTIO_OUTPUT"}})


def _inbound(wanted: Redirection) -> Iterator[str]:
    yield f"-p tcp --dport {HBONE_PORT} -j RETURN"  # the proxy listens there itself
    # The kubelet's probes, which its node sends from an address that nobody else may use: they pass also under STRICT.
    yield f"-s {PROBE_SNAT_IP}/32 -p tcp -j RETURN"
    for port in sorted({*_OWN_PORTS, *wanted.exclude_inbound_ports}):
        yield f"-p tcp --dport {port} -j RETURN"
    if wanted.no_inbound:
        return
    to = f"-j REDIRECT --to-ports {INBOUND_PLAINTEXT_PORT}"
    for port in wanted.include_inbound_ports:
        yield f"-p tcp --dport {port} {to}"
    if not wanted.include_inbound_ports:
        yield f"-p tcp {to}"


def _outbound(wanted: Redirection) -> Iterator[str]:
    to = f"-j REDIRECT --to-ports {OUTBOUND_PORT}"
    for port in sorted(wanted.exclude_outbound_ports):
        yield f"-p tcp --dport {port} -j RETURN"
    yield f"-s {_INBOUND_SOURCE} -o lo -j RETURN"
    # A call of the pod to itself by way of a service: out of the proxy and in through it once more.
    yield (
        f"! -d {_LOOPBACK} -o lo -p tcp ! --dport {HBONE_PORT} -m owner --uid-owner {PROXY_UID}"
        f" -j REDIRECT --to-ports {INBOUND_PLAINTEXT_PORT}"
    )
    yield f"-o lo -m owner ! --uid-owner {PROXY_UID} -j RETURN"
    yield f"-m owner --uid-owner {PROXY_UID} -j RETURN"
    yield f"-d {PROBE_SNAT_IP}/32 -p tcp -j RETURN"
    yield f"-d {_LOOPBACK} -j RETURN"
    for block in wanted.exclude_outbound:
        yield f"-d {block} -j RETURN"
    for port in wanted.include_outbound_ports:
        yield f"-p tcp --dport {port} {to}"
    if wanted.no_outbound:
        return
    for block in wanted.include_outbound:
        yield f"-d {block} -p tcp {to}"
    if not wanted.include_outbound:
        yield f"-p tcp {to}"
