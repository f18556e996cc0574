"""ServiceEntries: can TCP be told apart, and do all say one protocol for a host's port?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.model.compile.traffic.visibility import visible
from plait.resources.networking.service_entry import ServiceEntry
from plait.resources.problems import Problem

_ALLOCATING = (("ISTIO_META_DNS_CAPTURE", "ISTIO_META_DNS_AUTO_ALLOCATE"), ("PILOT_ENABLE_IP_AUTOALLOCATE",))


def without_address(evidence: Evidence) -> Iterator[Problem]:
    """TCP carries no host name: without an address, a port takes every connection to that number. A running mesh writes
    addresses of its own into the status; of files only the mesh configuration can say that they will come."""
    said = evidence.config.default_config.proxy_metadata
    if any(all(said.get(name) == "true" for name in names) for names in _ALLOCATING):
        return
    for each in evidence.all(ServiceEntry):
        if each.spec.addresses or (each.status is not None and each.status.addresses):
            continue
        for number, port in enumerate(each.spec.ports):
            if port.protocol.upper() in ("", "TCP"):
                text = f"every TCP connection to port {port.number} is taken for this host until it has an address"
                yield say("IST0134", each, f"spec.ports[{number}]", f"{text}; give it spec.addresses")


def protocols_at_odds(evidence: Evidence) -> Iterator[Problem]:
    """One host and port that two entries give two protocols, for somebody who sees both."""
    said: dict[tuple[str, int], list[tuple[str, tuple[str, ...], ServiceEntry]]] = {}
    for each in evidence.all(ServiceEntry):
        seen = visible(each.spec.export_to, each.namespace, evidence.config.default_service_export_to)
        for port in each.spec.ports:
            for host in each.spec.hosts:
                said.setdefault((host, port.number), []).append((port.protocol.upper(), seen, each))
    for each in evidence.all(ServiceEntry):
        seen = visible(each.spec.export_to, each.namespace, evidence.config.default_service_export_to)
        for number, port in enumerate(each.spec.ports):
            spoken = port.protocol.upper()
            for host in each.spec.hosts:
                others = {
                    f"{other.namespace}/{other.name} says {word or 'nothing'}"
                    for word, readers, other in said[host, port.number]
                    if word != spoken and other is not each and _meet(seen, readers)
                }
                if others:
                    text = f"{', '.join(sorted(others))} for {host}:{port.number}; agree on one"
                    yield say("IST0177", each, f"spec.ports[{number}].protocol", text)


def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return "*" in one or "*" in other or bool(set(one) & set(other))
