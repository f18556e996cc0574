"""The TLS certificate of the control plane's own servers: signed by the mesh's authority, renewed in good time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plait.base import aio
from plait.identity import authority
from plait.identity.trust import Trust

LIFETIME: Final = 30 * 24 * 3600.0
_NAMES: Final = ("istiod.istio-system.svc", "istiod.istio-system.svc.cluster.local", "localhost")


class ServingCertificate:
    """`issue()` gives key and chain as PEM; `outdated` says that it is time for the next."""

    def __init__(self, trust: Callable[[], Trust], addresses: Sequence[IPv4Address | IPv6Address]) -> None:
        self._trust, self._addresses, self._issued = trust, addresses, 0.0
        self._signer = trust().signer

    @property
    def outdated(self) -> bool:
        """Half its life is over, or another authority signs now."""
        return aio.now() - self._issued > LIFETIME / 2 or self._trust().signer is not self._signer

    def issue(self) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        signer, serial, now = self._trust().signer, secrets.randbits(128), aio.now()
        leaf = authority.server_certificate(
            key.public_key(), list(_NAMES), self._addresses, signer, now, LIFETIME, serial
        )
        if isinstance(leaf, authority.Refused):
            raise RuntimeError(f"the mesh authority does not sign the control plane's certificate: {leaf.reason}")
        self._signer, self._issued = signer, now
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem, "".join((leaf, *signer.chain)).encode()
