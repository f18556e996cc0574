"""The services that a reference to a Service or ServiceEntry means: a ServiceEntry is one for each of its hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from plait.model.compile.services import hostname
from plait.model.http_services import HttpService
from plait.model.mesh import Settings


class Reference(Protocol):
    @property
    def group(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


def is_service(ref: Reference) -> bool:
    return ref.kind == "Service" and ref.group in ("", "core")


def is_entry(ref: Reference) -> bool:
    return ref.kind == "ServiceEntry" and ref.group == "networking.istio.io"


def named(
    ref: Reference, namespace: str, services: Mapping[str, HttpService], settings: Settings
) -> tuple[HttpService, ...]:
    """None where nothing of that name is in the namespace, or the kind is another."""
    if is_service(ref):
        found = services.get(f"{namespace}/{hostname(ref.name, namespace, settings)}")
        return () if found is None else (found,)
    if is_entry(ref):
        wanted = ("ServiceEntry", namespace, ref.name)
        return tuple(s for s in services.values() if (s.kind, s.namespace, s.name) == wanted)
    return ()
