"""The node's side of a change of the mesh's root: what the control plane says of it becomes what the agent trusts.

A new bundle counts at once for Envoy, for certificate requests and for the next stream; another signer means that all
certificates of this node are asked for anew within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc
import msgspec

from plait.base.bundle import Resource
from plait.base.observe import logger
from plait.proxy.ca_client import CaClient
from plait.proxy.certs import Certificates
from plait.xds.client import Client, OnDelta, Rejected

ROOTS: Final = "type.googleapis.com/plait.trust.Roots"
_log = logger("trust")


class Roots(msgspec.Struct, frozen=True):
    """`roots` is the PEM bundle; another `signer` means: ask for new certificates now."""

    roots: str
    signer: str


def read(resources: Iterable[Resource]) -> Roots | None:
    """The bundle in a delta, None where it has none. DecodeError when it cannot be read."""
    for resource in resources:
        return msgspec.json.decode(resource.value, type=Roots)
    return None


class Trusting:
    """Stands in the stream before the configuration and takes what is meant for it."""

    def __init__(self, certificates: Certificates, ca: CaClient) -> None:
        self._certificates, self._ca = certificates, ca
        self._signer = ""
        self.stream: Client | None = None

    def beside(self, rest: OnDelta) -> OnDelta:
        def heard(url: str, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
            if url == ROOTS:
                self._heard(resources)
            else:
                rest(url, resources, removed)

        return heard

    def _heard(self, resources: Iterable[Resource]) -> None:
        try:
            said = read(resources)
            credentials = grpc.ssl_channel_credentials(said.roots.encode()) if said is not None else None
        except msgspec.DecodeError as error:
            raise Rejected(f"the trust bundle cannot be read: {error}") from error
        if said is None:
            return
        if said.roots != self._certificates.roots:
            _log.info("the mesh's roots have changed")
            self._certificates.trust(said.roots)
            self._ca.trust(said.roots.encode())
            if self.stream is not None and credentials is not None:
                self.stream.trust(credentials)
        if self._signer not in ("", said.signer):
            _log.info("another authority signs now: all certificates are renewed")
            self._certificates.renew()
        self._signer = said.signer
