"""Where routes lead: is there such a host, does the rule's namespace see it, has it the port and the subset?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plait.diagnose.evidence import Evidence
from plait.diagnose.hosts import Hosts, readers
from plait.diagnose.messages import say
from plait.model import hostnames
from plait.resources.networking.destination_rule import DestinationRule
from plait.resources.networking.traffic import Destination
from plait.resources.networking.virtual_service import VirtualService
from plait.resources.problems import Problem


def dangling(evidence: Evidence) -> Iterator[Problem]:
    """Destinations that are not there, for those who have the rule."""
    hosts, subsets = Hosts(evidence), _subsets(evidence)
    for each in evidence.all(VirtualService):
        for path, destination in destinations(each):
            name = hostnames.full(destination.host, each.namespace, evidence.mesh.settings)
            found = hosts.named(name)
            seen = [host for host in found if host.seen(readers(each.spec.export_to, each.namespace))]
            number = destination.port.number if destination.port is not None else 0
            if not found:
                text = f"host {name} does not exist; create a Service or ServiceEntry, or write the full name"
                yield say("IST0101", each, f"{path}.host", text)
            elif not seen:
                text = f"host {name} is not exported to {_spaces(each)}; mend its exportTo, or that of this object"
                yield say("IST0101", each, f"{path}.host", text)
            elif number and not any(number in host.ports or not host.ports for host in seen):
                there = ", ".join(map(str, seen[0].ports))
                yield say(
                    "IST0101", each, f"{path}.port.number", f"host {name} has no port {number}; it has {there}, use one"
                )
            if destination.subset and not _defined(destination.subset, name, subsets):
                text = f"subset {destination.subset} of {name} does not exist; define it in a DestinationRule"
                yield say("IST0101", each, f"{path}.subset", text)


def ambiguous_ports(evidence: Evidence) -> Iterator[Problem]:
    """Destinations without a port whose service has several: none of them is meant."""
    hosts = Hosts(evidence)
    for each in evidence.all(VirtualService):
        for path, destination in destinations(each):
            if destination.port is not None and destination.port.number:
                continue
            name = hostnames.full(destination.host, each.namespace, evidence.mesh.settings)
            ports = next((host.ports for host in hosts.named(name) if len(host.ports) > 1), ())
            if ports:
                text = f"{name} has the ports {', '.join(map(str, ports))}; name the one that is meant"
                yield say("IST0112", each, f"{path}.port", text)


def bypassed_subsets(evidence: Evidence) -> Iterator[Problem]:
    """Routes of a gateway to a host whose subsets another VirtualService chooses: that one is the mesh's, and the
    gateway goes past it."""
    choosing: dict[str, list[VirtualService]] = {}
    for each in evidence.all(VirtualService):
        own = {hostnames.full(host, each.namespace, evidence.mesh.settings) for host in each.spec.hosts}
        for _, destination in _http(each):
            name = hostnames.full(destination.host, each.namespace, evidence.mesh.settings)
            if destination.subset and name in own and each not in choosing.get(name, ()):
                choosing.setdefault(name, []).append(each)
    for each in evidence.all(VirtualService):
        for path, destination in _http(each) if _gateways(each) else ():
            name = hostnames.full(destination.host, each.namespace, evidence.mesh.settings)
            others = [other for other in choosing.get(name, ()) if other is not each]
            if not destination.subset and others:
                who = ", ".join(f"{other.namespace}/{other.name}" for other in others)
                text = f"the subsets that {who} chooses for {name} mean nothing to requests of a gateway"
                yield say("IST0140", each, f"{path}.subset", f"{text}; name the subset here too")


def destinations(each: VirtualService) -> Iterator[tuple[str, Destination]]:
    """Every destination and where it stands, mirrors too."""
    yield from _http(each)
    for number, rule in enumerate(each.spec.http):
        if rule.mirror is not None:
            yield f"spec.http[{number}].mirror", rule.mirror
        for place, mirror in enumerate(rule.mirrors):
            if mirror.destination is not None:
                yield f"spec.http[{number}].mirrors[{place}].destination", mirror.destination
    lower: list[tuple[str, Sequence[Any]]] = [("tls", each.spec.tls), ("tcp", each.spec.tcp)]
    for word, rules in lower:
        for number, rule in enumerate(rules):
            for place, share in enumerate(rule.route):
                yield f"spec.{word}[{number}].route[{place}].destination", share.destination


def _http(each: VirtualService) -> Iterator[tuple[str, Destination]]:
    for number, rule in enumerate(each.spec.http):
        for place, share in enumerate(rule.route):
            yield f"spec.http[{number}].route[{place}].destination", share.destination


def _gateways(each: VirtualService) -> list[str]:
    return [name for name in each.spec.gateways if name != "mesh"]


def _subsets(evidence: Evidence) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in evidence.all(DestinationRule):
        host = hostnames.full(rule.spec.host, rule.namespace, evidence.mesh.settings)
        found.setdefault(host, set()).update(subset.name for subset in rule.spec.subsets)
    return found


def _defined(subset: str, host: str, subsets: Mapping[str, set[str]]) -> bool:
    return any(subset in names for pattern, names in subsets.items() if hostnames.fits(pattern, host))


def _spaces(each: VirtualService) -> str:
    return " or ".join(readers(each.spec.export_to, each.namespace))
