"""SPIFFE IDs as the mesh writes them: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})/ns/([a-z0-9.-]{1,253})/sa/([a-z0-9.-]{1,253})\Z")


@dataclass(frozen=True, slots=True, order=True)
class SpiffeId:
    """One workload identity. `str()` gives the URI found in certificates."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def parse(uri: str) -> SpiffeId:
    """Read a workload SPIFFE URI; ValueError names the URI when it has another shape."""
    match = _ID.match(uri)
    if match is None:
        raise ValueError(f"not a workload SPIFFE ID (want spiffe://<domain>/ns/<ns>/sa/<sa>): {uri!r}")
    return SpiffeId(*match.groups())
