"""Certificates that Istio's Gateways name: found beside the pods that show them, as in Istio, or beside the Gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from plait.model.attachment import carries
from plait.model.compile.traffic.credentials import Credentials
from plait.model.gateways import Gateway, Listener, ServerTls
from plait.resources.kubernetes import Pod
from plait.resources.problems import Problem

Namespaces = tuple[str, ...]
MISSING, UNUSABLE = "IST0101", "IST0161"


def beside(gateways: Iterable[Gateway], pods: Iterable[Pod]) -> Mapping[str, Namespaces]:
    """Namespaces of the pods of each Gateway that names certificates."""
    asking = [each for each in gateways if each.selector and any(each.tls for each in each.listeners)]
    found: dict[str, set[str]] = {each.key: set() for each in asking}
    for pod in pods if asking else ():
        for gateway in asking:
            if carries(pod.meta.labels, gateway.selector):
                found[gateway.key].add(pod.namespace)
    return {key: tuple(sorted(names)) for key, names in found.items()}


def checked(gateway: Gateway, beside: Namespaces, credentials: Credentials, problems: list[Problem]) -> Gateway:
    """Each certificate by namespace and name. Listeners with one that cannot be used are broken, the others stand."""
    places = tuple(dict.fromkeys((*beside, gateway.namespace)))
    listeners = []
    for number, listener in enumerate(gateway.listeners):
        found, why = _checked(listener, places, credentials)
        if why:
            path = f"spec.servers[{number}].tls.credentialName"
            text = f"{why}; this server is closed, the others stand. Create it or mend the name"
            code = MISSING if _absent(found, credentials) else UNUSABLE
            problems.append(Problem(code, "error", "Gateway", gateway.namespace, gateway.name, path, text))
        listeners.append(found)
    made = tuple(listeners)
    return gateway if made == gateway.listeners else msgspec.structs.replace(gateway, listeners=made)


def _checked(listener: Listener, places: Namespaces, credentials: Credentials) -> tuple[Listener, str]:
    """The listener, and what is wrong with its certificates."""
    if listener.tls is None:
        return listener, ""
    tls = _placed(listener.tls, places, credentials)
    why = ""
    if tls.mode in ("simple", "mutual", "optional_mutual"):
        named = [each.secret for each in tls.certificates if each.secret]
        foreign = [each for each in (*named, tls.client_roots_secret) if each and each.partition("/")[0] not in places]
        if foreign:
            why = f"Secret {foreign[0]} is of another namespace than the Gateway and its pods"
        why = why or next((text for name in named if (text := credentials.certificate(name))), "")
        if not why and tls.client_roots_secret and tls.client_roots_secret not in named:
            why = credentials.roots(tls.client_roots_secret)
    return msgspec.structs.replace(listener, tls=tls, broken=why or listener.broken), why


def _absent(listener: Listener, credentials: Credentials) -> bool:
    """Whether one that is named is not there at all."""
    if listener.tls is None:
        return False
    named = [*(each.secret for each in listener.tls.certificates), listener.tls.client_roots_secret]
    return not all(credentials.known(each) for each in named if each)


def _placed(tls: ServerTls, places: Namespaces, credentials: Credentials) -> ServerTls:
    def place(name: str) -> str:
        if not name or "/" in name:
            return name
        named = [f"{namespace}/{name}" for namespace in places]
        return next((each for each in named if credentials.known(each)), named[0])

    return msgspec.structs.replace(
        tls,
        certificates=tuple(msgspec.structs.replace(each, secret=place(each.secret)) for each in tls.certificates),
        client_roots_secret=place(tls.client_roots_secret),
    )
