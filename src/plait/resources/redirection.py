"""Which traffic of a pod is its sidecar's: the annotations `traffic.sidecar.istio.io/…`, read once for everybody.

The injector reads them to refuse a pod that says nonsense, the node's agent to write the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Final, Literal

from msgspec import Struct

PREFIX: Final = "traffic.sidecar.istio.io/"
MODE: Final = "sidecar.istio.io/interceptionMode"
Interception = Literal["REDIRECT", "TPROXY", "NONE"]
"""How what comes in is captured: only TPROXY shows the client's address to the application. With NONE nothing is, in
either direction: applications connect to the proxy's own listeners."""
_MODES: Final[Mapping[str, Interception]] = {"REDIRECT": "REDIRECT", "TPROXY": "TPROXY", "NONE": "NONE"}


class Redirection(Struct, frozen=True):
    """Which traffic is the proxy's. Empty `include_…`: all of it."""

    mode: Interception = "REDIRECT"
    include_outbound: tuple[str, ...] = ()
    """CIDRs."""
    exclude_outbound: tuple[str, ...] = ()
    include_outbound_ports: tuple[int, ...] = ()
    """Captured whatever the CIDRs say."""
    exclude_outbound_ports: tuple[int, ...] = ()
    include_inbound_ports: tuple[int, ...] = ()
    exclude_inbound_ports: tuple[int, ...] = ()
    no_inbound: bool = False
    """`includeInboundPorts: ""`: nothing that comes in is captured."""
    no_outbound: bool = False


class BadAnnotation(ValueError):
    """An annotation cannot be read; `name` is its, the message says what is wanted."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


def redirection(annotations: Mapping[str, str]) -> Redirection:
    """What the pod's annotations ask for. BadAnnotation for the first that cannot be read."""
    mode = interception(annotations)
    inbound = annotations.get(f"{PREFIX}includeInboundPorts", "*")
    outbound = annotations.get(f"{PREFIX}includeOutboundIPRanges", "*")
    return Redirection(
        mode=mode,
        include_outbound=_blocks(annotations, "includeOutboundIPRanges"),
        exclude_outbound=_blocks(annotations, "excludeOutboundIPRanges"),
        include_outbound_ports=_ports(annotations, "includeOutboundPorts"),
        exclude_outbound_ports=_ports(annotations, "excludeOutboundPorts"),
        include_inbound_ports=_ports(annotations, "includeInboundPorts"),
        exclude_inbound_ports=_ports(annotations, "excludeInboundPorts"),
        no_inbound=not inbound.strip(),
        no_outbound=not outbound.strip(),
    )


def interception(annotations: Mapping[str, str]) -> Interception:
    """What the pod's annotation says, or nothing does. BadAnnotation when it cannot be read."""
    mode = annotations.get(MODE, "REDIRECT")
    if (known := _MODES.get(mode)) is None:
        raise BadAnnotation(MODE, f'"{mode}" is unknown; use REDIRECT, TPROXY or NONE, or remove the annotation')
    return known


_ALL: Final = ("includeInboundPorts", "includeOutboundIPRanges")
"""Where `*` means all: what is left out, or captured besides, is named one by one."""


def _words(annotations: Mapping[str, str], name: str) -> list[str]:
    words = [word.strip() for word in annotations.get(f"{PREFIX}{name}", "").split(",")]
    return [word for word in words if word and (word != "*" or name not in _ALL)]


def _or_all(name: str) -> str:
    return ", or *" if name in _ALL else ""


def _ports(annotations: Mapping[str, str], name: str) -> tuple[int, ...]:
    words = _words(annotations, name)
    for word in words:
        if not word.isdecimal() or not 0 < int(word) < 65536:
            raise BadAnnotation(f"{PREFIX}{name}", f'"{word}" is no port; want numbers from 1 to 65535{_or_all(name)}')
    return tuple(sorted({int(word) for word in words}))


def _blocks(annotations: Mapping[str, str], name: str) -> tuple[str, ...]:
    """CIDRs of both families. One of everything among those to be captured says what none says."""
    found: list[str] = []
    for word in _words(annotations, name):
        try:
            block = ip_network(word, strict=False)
        except ValueError:
            raise BadAnnotation(
                f"{PREFIX}{name}", f'"{word}" is no CIDR; want such as 10.0.0.0/8{_or_all(name)}'
            ) from None
        if block.prefixlen:
            found.append(str(block))
        elif name.startswith("include"):
            return ()
        else:
            found += map(str, block.subnets())  # as iptables prints no /0, two halves can be compared
    return tuple(dict.fromkeys(found))
