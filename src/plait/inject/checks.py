"""What a pod says about its proxy that cannot be: told when the pod is written, with the field and the way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from plait.base.wellknown import PROXY_CONTAINER, PROXY_PORTS, PROXY_UID, TEMPLATES
from plait.inject import additions
from plait.inject.pod import AUTO
from plait.inject.proxying import NATIVE, Finding, Proxying
from plait.resources.injection import is_gateway, templates
from plait.resources.redirection import MODE, BadAnnotation, redirection

_KNOWN: Final = ("sidecar", "gateway")


def wrong(pod: Mapping[str, Any], wanted: Proxying, own: Collection[str] = ()) -> Iterator[Finding]:
    """Everything for which the pod must not be created. `own` are the templates of the mesh's own."""
    notes = (pod.get("metadata") or {}).get("annotations") or {}
    gateway = is_gateway(notes)
    yield from wanted.wrong
    yield from _templates(templates(notes), own)
    yield from _annotations(notes if gateway else {**notes, MODE: wanted.interception})
    yield from _containers(pod.get("spec") or {}, gateway, wanted.interception == "TPROXY")


def _annotations(notes: Mapping[str, str]) -> Iterator[Finding]:
    try:
        redirection(notes)
    except BadAnnotation as bad:
        yield _path(bad.name), bad.message
    for name, message in additions.wrong(notes):
        yield _path(name), message
    if (text := notes.get(NATIVE, "true").lower()) not in ("true", "false"):
        yield _path(NATIVE), f'"{text}" is neither "true" nor "false"; write one of them'


def _templates(asked: Collection[str], own: Collection[str]) -> Iterator[Finding]:
    known = (*_KNOWN, *sorted(own))
    for name in asked:
        if name not in known:
            yield _path(TEMPLATES), f'no template "{name}"; use {" or ".join(known)}'
    if asked and set(asked) <= set(own):
        yield _path(TEMPLATES), f"{', '.join(asked)} alone makes no proxy; name {' or '.join(_KNOWN)} too"


def _containers(spec: Mapping[str, Any], gateway: bool, transparent: bool) -> Iterator[Finding]:
    proxied = False
    known = "runAsGroup" if transparent else "runAsUser"  # by which the proxy's packets are told from others
    shared = (spec.get("securityContext") or {}).get(known)
    for part in ("initContainers", "containers"):
        for number, each in enumerate(spec.get(part) or ()):
            path = f"spec.{part}[{number}]"
            if each.get("name") == PROXY_CONTAINER:
                proxied = True
                if each.get("image") != AUTO:
                    text = (
                        f'the name {PROXY_CONTAINER} is the proxy\'s; rename the container, or give it image "{AUTO}"'
                    )
                    yield f"{path}.image", f"{text} to say what differs from the default"
                yield from _identity(each.get("securityContext") or {}, f"{path}.securityContext", transparent)
            elif not gateway and (each.get("securityContext") or {}).get(known, shared) == PROXY_UID:
                # Its packets could not be told from the proxy's: they would pass by it.
                whose = f"{PROXY_UID} is the proxy's {known.removeprefix('runAs').lower()}; use another one"
                yield f"{path}.securityContext.{known}", whose
    if not gateway:
        yield from _ports(spec)
    if gateway and not proxied:
        text = f'the gateway template needs a container "{PROXY_CONTAINER}" with image "{AUTO}"; add it'
        yield "spec.containers", text


def _identity(said: Mapping[str, Any], path: str, transparent: bool) -> Iterator[Finding]:
    """By its user and group the proxy's packets are told from the application's, and its folder is its own."""
    for name, ours in (("runAsUser", 0 if transparent else PROXY_UID), ("runAsGroup", PROXY_UID)):
        if said.get(name, ours) != ours:
            yield f"{path}.{name}", f"the proxy runs as {ours}; remove it"


def _ports(spec: Mapping[str, Any]) -> Iterator[Finding]:
    for number, each in enumerate(spec.get("containers") or ()):
        for at, port in enumerate(each.get("ports") or ()):
            if each.get("name") != PROXY_CONTAINER and port.get("containerPort") in PROXY_PORTS:
                text = f"{port['containerPort']} is the proxy's in this pod; let the application listen on another port"
                path = f"spec.containers[{number}].ports[{at}].containerPort"
                yield path, f"{text} (in its Service only targetPort changes), or do not inject it"


def _path(annotation: str) -> str:
    return f"metadata.annotations[{annotation}]"
