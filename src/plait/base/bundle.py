"""The parcel handed from the translators (`envoy`, `wds`) to the xDS server (`xds`): bytes and names only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Resource:
    """One named, encoded resource. Equal content has an equal `version` (a content hash in hex).

    `aliases` are further names a client may subscribe by (WDS: `<network>/<ip>`, `<ns>/<hostname>`); who subscribes to
    one of `groups` by name gets this resource too (WDS: a workload belongs to its services).
    """

    name: str
    version: str
    value: bytes
    aliases: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


_EMPTY: Mapping[str, Resource] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything one audience may know: type URL -> resource name -> Resource. Immutable; equal parts are shared."""

    types: Mapping[str, Mapping[str, Resource]] = field(default_factory=dict)

    def of(self, type_url: str) -> Mapping[str, Resource]:
        """The resources of one type; empty where the bundle has none."""
        return self.types.get(type_url, _EMPTY)


def version_of(value: bytes) -> str:
    """Content hash used as resource version (64 bit of blake2b, hex)."""
    from hashlib import blake2b

    return blake2b(value, digest_size=8).hexdigest()
