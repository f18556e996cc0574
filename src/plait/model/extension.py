"""Extension: an opaque addition that other implementations attach to workloads, services, policies and matches."""

from __future__ import annotations

from msgspec import Struct


class Extension(Struct, frozen=True, gc=False):
    """Carried through, never interpreted: a name and a packed protobuf Any."""

    name: str
    type_url: str = ""
    value: bytes = b""
