"""Istio Gateways on the same proxies: do they collide, share a certificate, or listen where no Service leads?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.model import hostnames
from plait.resources.kubernetes import Service
from plait.resources.networking.gateway import Gateway, Server
from plait.resources.problems import Problem


def conflicting(evidence: Evidence) -> Iterator[Problem]:
    """Two gateways that answer to one host on one port of the same proxies."""
    for each, number, server in _servers(evidence):
        for other, _, rival in _servers(evidence):
            if other.ident == each.ident or other.spec.selector != each.spec.selector:
                continue
            same = server.port.number == rival.port.number and (server.bind == rival.bind)
            shared = sorted(_shared(server, rival, each, other)) if same else []
            if shared:
                who = f"{other.namespace}/{other.name}"
                text = f"{who} has {', '.join(shared)} on port {server.port.number} too; let one of them serve it"
                yield say("IST0145", each, f"spec.servers[{number}].hosts", text)


def _shared(server: Server, rival: Server, each: Gateway, other: Gateway) -> set[str]:
    """Hosts that both take from one namespace's routes."""
    found = set()
    for mine in server.hosts:
        for theirs in rival.hosts:
            own_space, own = _scoped(mine, each)
            their_space, their = _scoped(theirs, other)
            host = hostnames.overlap(own, their)
            if host is not None and ("*" in (own_space, their_space) or own_space == their_space):
                found.add(host)
    return found


def _scoped(host: str, gateway: Gateway) -> tuple[str, str]:
    space, slash, name = host.rpartition("/")
    return (gateway.namespace if space == "." else space or "*", name) if slash else ("*", host)


def shared_certificate(evidence: Evidence) -> Iterator[Problem]:
    """One certificate of several gateways: clients reuse a connection for the other's hosts, and get 404."""
    owners: dict[tuple[object, str], list[tuple[Gateway, int]]] = {}
    for each, number, server in _servers(evidence):
        tls = server.tls
        for name in (tls.credential_name, tls.server_certificate) if tls is not None else ():
            if name:
                owners.setdefault((tuple(sorted(each.spec.selector.items())), name), []).append((each, number))
    for (_, certificate), found in owners.items():
        names = sorted({f"{each.namespace}/{each.name}" for each, _ in found})
        if len(names) > 1:
            for each, number in found:
                text = f"{', '.join(names)} share certificate {certificate}, so a client's HTTP/2 connection to one"
                more = f"{text} is reused for the other and gets 404; put the hosts into one Gateway"
                yield say("IST0138", each, f"spec.servers[{number}].tls", more)


def unexposed_port(evidence: Evidence) -> Iterator[Problem]:
    """A server's port that no Service of the proxies leads to."""
    for each, number, server in _servers(evidence):
        proxies = [workload for workload in evidence.workloads if workload.carries(each.spec.selector)]
        services = [
            service
            for service in evidence.all(Service)
            if service.spec.selector and any(service.namespace == w.namespace for w in proxies)
            if any(w.namespace == service.namespace and w.carries(service.spec.selector) for w in proxies)
        ]
        targets = {port.target_port or port.port for service in services for port in service.spec.ports}
        if not services or any(isinstance(target, str) and not target.isdigit() for target in targets):
            continue  # no Service at all is told elsewhere; a named target may be any port
        if server.port.number not in {int(target) for target in targets}:
            text = f"no Service of these proxies leads to port {server.port.number}; add a port with this targetPort"
            yield say("IST0162", each, f"spec.servers[{number}].port.number", text)


def _servers(evidence: Evidence) -> Iterator[tuple[Gateway, int, Server]]:
    for each in evidence.all(Gateway):
        if each.spec.selector:
            for number, server in enumerate(each.spec.servers):
                yield each, number, server
