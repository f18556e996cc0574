"""ServiceEntries: can TCP be told apart, and do all say one protocol for a host's port?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.model import autoallocation
from plait.model.compile.traffic.kubernetes_services import protocol
from plait.resources.networking.service_entry import ServiceEntry
from plait.resources.problems import Problem


def without_address(evidence: Evidence) -> Iterator[Problem]:
    """TCP carries no host name: without an address, a port takes every connection to that number."""
    for each in evidence.all(ServiceEntry):
        if each.spec.addresses or set(each.spec.hosts) <= set(autoallocation.hosts(each)):
            continue  # it has addresses, or its hosts are given some
        for number, port in enumerate(each.spec.ports):
            if port.protocol.upper() in ("", "TCP") and protocol(port.name) in ("auto", "tcp"):
                text = f"every TCP connection to port {port.number} is taken for this host; give it spec.addresses"
                yield say("IST0134", each, f"spec.ports[{number}]", text)


def protocols_at_odds(evidence: Evidence) -> Iterator[Problem]:
    """One host and port that two entries give two protocols."""
    said: dict[tuple[str, int], tuple[str, ServiceEntry]] = {}
    for each in sorted(evidence.all(ServiceEntry), key=lambda e: (e.meta.creation_timestamp or "", *e.ident)):
        for number, port in enumerate(each.spec.ports):
            spoken = port.protocol.upper() or "TCP"
            for host in each.spec.hosts:
                first, other = said.setdefault((host, port.number), (spoken, each))
                if first != spoken and other is not each:
                    text = f"{other.namespace}/{other.name} says {first} for {host}:{port.number}; agree on one"
                    yield say("IST0177", each, f"spec.ports[{number}].protocol", text)
