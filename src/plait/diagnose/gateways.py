"""Istio Gateways: does anybody serve them, have they usable certificates, do they collide on the same proxies, share a
certificate, or listen where no Service leads?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.diagnose.secrets import unusable
from plait.resources.kubernetes import Secret, Service
from plait.resources.networking.gateway import Gateway, Server
from plait.resources.problems import Problem


def unserved(evidence: Evidence) -> Iterator[Problem]:
    """Gateways whose selector no pod meets: nobody answers."""
    for each in evidence.all(Gateway):
        selector = each.spec.selector
        if selector and not evidence.serving(selector):
            wanted = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
            text = f"no pod carries {wanted}, so nobody serves this gateway; start one or mend the selector"
            yield say("IST0101", each, "spec.selector", text)


def conflicting(evidence: Evidence) -> Iterator[Problem]:
    """Two gateways that answer to one host on one port of the same proxies."""
    taken: dict[tuple[int, str, str], list[Gateway]] = {}
    for each, _, server in _servers(evidence):
        for host in server.hosts:
            taken.setdefault((server.port.number, server.bind, _scoped(host, each)), []).append(each)
    for each, number, server in _servers(evidence):
        shared: dict[str, set[str]] = {}
        for host in server.hosts:
            for other in taken[server.port.number, server.bind, _scoped(host, each)]:
                if other.ident != each.ident and _together(evidence, each, other):
                    shared.setdefault(host, set()).add(f"{other.namespace}/{other.name}")
        if shared:
            who = ", ".join(sorted(set().union(*shared.values())))
            text = f"{who} has {', '.join(sorted(shared))} on port {server.port.number} too; let one of them serve it"
            yield say("IST0145", each, f"spec.servers[{number}].hosts", text)


def _scoped(host: str, gateway: Gateway) -> str:
    """`ns/host`, with `*` for routes of any namespace."""
    space, slash, name = host.rpartition("/")
    return f"{(gateway.namespace if space == '.' else space or '*') if slash else '*'}/{name.lower()}"


def _together(evidence: Evidence, one: Gateway, other: Gateway) -> bool:
    """Whether both are served by the same proxies: by their selectors, or by a pod that meets both."""
    mine, theirs = one.spec.selector, other.spec.selector
    if mine == theirs:
        return True
    narrower = mine.items() <= theirs.items() or theirs.items() <= mine.items()
    return narrower and bool(evidence.serving({**mine, **theirs}))


def credentials(evidence: Evidence) -> Iterator[Problem]:
    """Certificates that are not there, or that no client would take."""
    secrets = evidence.all(Secret)
    known = {(each.namespace, each.name): each for each in secrets}
    for each, number, server in _servers(evidence):
        names = (server.tls.credential_names or (server.tls.credential_name,)) if server.tls is not None else ()
        spaces = {each.namespace, *(proxy.namespace for proxy in evidence.serving(each.spec.selector))}
        for name in names if server.tls is not None and server.tls.mode in _CERTIFIED else ():
            bare = name.removeprefix("kubernetes-gateway://").removeprefix("kubernetes://")
            where = [tuple(bare.split("/", 1))] if "/" in bare else [(space, bare) for space in sorted(spaces)]
            found = [known[place] for place in where if place in known]
            path = f"spec.servers[{number}].tls.credentialName"
            if bare and not found:
                text = f"there is no Secret {' or '.join('/'.join(place) for place in where)}"
                yield say("IST0101", each, path, f"{text}, so this server is closed; create it or mend the name")
            elif bare and not any(not unusable(secret, evidence.now) for secret in found):
                text = f"{unusable(found[0], evidence.now)}, so this server is closed or refused by clients"
                yield say("IST0161", each, path, f"{text}; put a valid certificate and its key there")


_CERTIFIED = frozenset({"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"})


def shared_certificate(evidence: Evidence) -> Iterator[Problem]:
    """One certificate of several gateways: clients reuse a connection for the other's hosts, and get 404."""
    owners: dict[tuple[str, str, str], list[Gateway]] = {}
    for each, _, server in _servers(evidence):
        for certificate in _certificates(server):
            owners.setdefault(certificate, []).append(each)
    for each, number, server in _servers(evidence):
        others = {
            f"{other.namespace}/{other.name}"
            for certificate in _certificates(server)
            for other in owners[certificate]
            if other.ident != each.ident and each.spec.selector.items() <= other.spec.selector.items()
        }
        if others:
            text = f"{', '.join(sorted(others))} has the same certificate, so a client's HTTP/2 connection to one"
            more = f"{text} is reused for the other and gets 404; put the hosts into one Gateway"
            yield say("IST0138", each, f"spec.servers[{number}].tls", more)


def _certificates(server: Server) -> Iterator[tuple[str, str, str]]:
    if server.tls is not None and server.tls.credential_name:
        yield server.tls.credential_name, "", ""
    elif server.tls is not None and server.tls.server_certificate and server.tls.private_key:
        yield "", server.tls.server_certificate, server.tls.private_key


def unexposed_port(evidence: Evidence) -> Iterator[Problem]:
    """A server's port that no Service of the proxies leads to."""
    for each in evidence.all(Gateway):
        proxies = evidence.serving(each.spec.selector)
        if not proxies:
            continue  # nobody serves it: told above
        services = [
            service
            for service in evidence.all(Service)
            if service.spec.selector
            if any(w.namespace == service.namespace and w.carries(service.spec.selector) for w in proxies)
        ]
        targets = {port.target_port or port.port for service in services for port in service.spec.ports}
        if any(isinstance(target, str) and not target.isdigit() for target in targets):
            continue  # a named target may be any port
        numbers = {int(target) for target in targets}
        for number, server in enumerate(each.spec.servers):
            if server.port.number not in numbers:
                text = f"no Service of these proxies leads to port {server.port.number}"
                path = f"spec.servers[{number}].port.number"
                yield say("IST0162", each, path, f"{text}; add a port with this targetPort")


def _servers(evidence: Evidence) -> Iterator[tuple[Gateway, int, Server]]:
    for each in evidence.all(Gateway):
        if each.spec.selector:
            for number, server in enumerate(each.spec.servers):
                yield each, number, server
