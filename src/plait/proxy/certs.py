"""The certificates of one node: keys made here, requests through a Ca, renewal at half life, secrets for Envoy.

A failed renewal is tried again with back-off while the old certificate stays until it ends. What the authority answers
is checked: it must hold our key and exactly the identity asked for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from plait.base import aio
from plait.base.observe import logger
from plait.base.secret import Secret
from plait.proxy.keyring import Keyring

_log = logger("certs")
LIFETIME = 24 * 3600.0
_PEM = serialization.Encoding.PEM


class CaError(Exception):
    """No certificate this time; the message says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM certificates, leaf first, and the PEM bundle of roots."""

    chain: tuple[str, ...]
    roots: str


class Ca(Protocol):
    async def certify(self, csr: str, identity: str, lifetime: float) -> Issued:
        """CaError when refused or out of reach."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """One identity's key and certificate."""

    identity: str
    key: Secret
    chain: str
    begins: float
    ends: float
    serial: str = ""


class Certificates:
    """`want` says which identities; `changed()` is called after every new certificate or root."""

    def __init__(
        self,
        ca: Ca,
        changed: Callable[[], None],
        *,
        lifetime: float = LIFETIME,
        roots: str = "",
        clock: Callable[[], float] = aio.now,
        keyring: Keyring | None = None,
        expired: Callable[[str], None] = lambda identity: None,
    ) -> None:
        """`expired(identity)` is called when a certificate ended before another one came."""
        self._ca, self._changed, self._lifetime, self._clock = ca, changed, lifetime, clock
        self._keyring, self._expired = keyring, expired
        self._held: dict[str, Held] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._arrived: dict[str, asyncio.Event] = {}
        self.problems: dict[str, str] = {}
        self.roots = roots
        self._again = asyncio.Event()

    def want(self, identities: Iterable[str]) -> None:
        """Hold exactly these; the keys of others are forgotten."""
        wanted = set(identities)
        for identity in wanted - self._tasks.keys():
            self._arrived[identity] = asyncio.Event()
            self._remember(identity)
            self._tasks[identity] = aio.spawn(self._keep(identity), f"certificate {identity}")
        for identity in self._tasks.keys() - wanted:
            self._tasks.pop(identity).cancel()
            self._arrived.pop(identity)
            self._held.pop(identity, None)
            self.problems.pop(identity, None)
            if self._keyring is not None:
                self._keyring.forget(identity)

    def trust(self, roots: str) -> None:
        """The mesh's bundle of roots has changed."""
        if roots != self.roots:
            self.roots = roots
            self._changed()

    def renew(self) -> None:
        """Ask for all anew within seconds: somebody else signs now. The present ones serve meanwhile."""
        self._again.set()
        self._again = asyncio.Event()

    async def _rest(self, seconds: float) -> None:
        """Until it is time, or `renew` was called."""
        again = self._again
        try:
            async with asyncio.timeout(seconds):
                await again.wait()
        except TimeoutError:
            return
        await asyncio.sleep(random.uniform(0.0, 1.0))  # not all in the same moment

    async def present(self, identity: str) -> None:
        """Wait until a usable certificate of a wanted identity is there."""
        await self._arrived[identity].wait()

    def held(self) -> dict[str, Held]:
        """Usable certificates: those not ended."""
        now = self._clock()
        return {name: held for name, held in self._held.items() if held.ends > now}

    def secrets(self, root_name: str) -> dict[str, dict[str, Any]]:
        """Envoy's Secret documents: one per identity, named by it, and the roots under `root_name`."""
        documents: dict[str, dict[str, Any]] = {
            name: {
                "name": name,
                "tls_certificate": {
                    "certificate_chain": {"inline_string": held.chain},
                    "private_key": {"inline_string": held.key.reveal().decode()},
                },
            }
            for name, held in self.held().items()
        }
        if self.roots:
            documents[root_name] = {
                "name": root_name,
                "validation_context": {"trusted_ca": {"inline_string": self.roots}},
            }
        return documents

    async def close(self) -> None:
        """What is on disk stays there for our successor."""
        tasks = list(self._tasks.values())
        self._keyring = None
        self.want(())
        await aio.cancel(*tasks)

    def _remember(self, identity: str) -> None:
        """What an earlier run kept, if it has not ended and the mesh still has the roots that signed it."""
        kept = self._keyring.find(identity) if self._keyring is not None else None
        if kept is None or (self.roots and not _leads(kept.chain, self.roots)):
            return
        try:
            key = serialization.load_pem_private_key(kept.key, None)
            leaf = x509.load_pem_x509_certificate(kept.chain.encode())
        except ValueError as error:
            _log.warning("kept certificate cannot be read", identity=identity, error=error)
            return
        begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        if not begins <= self._clock() < ends or key.public_key() != leaf.public_key():
            return
        serial = f"{leaf.serial_number:x}"
        self._held[identity] = Held(identity, Secret(kept.key), kept.chain, begins, ends, serial)
        self._arrived[identity].set()

    def _watch(self, held: Held) -> None:
        """Hear of this certificate's end, if it is still the one we have then."""

        def over() -> None:
            if self._held.get(held.identity) is held:
                _log.error("certificate ended, and there is no other", identity=held.identity)
                del self._held[held.identity]
                self._changed()
                self._expired(held.identity)

        asyncio.get_running_loop().call_later(max(0.0, held.ends - self._clock()) + 0.05, over)

    async def _keep(self, identity: str) -> None:
        delays = aio.backoff(0.05, 5.0)
        if (held := self._held.get(identity)) is not None:  # remembered: renew when half of its whole life is over
            self._watch(held)
            half = held.begins + (held.ends - held.begins) * random.uniform(0.5, 0.6)
            await self._rest(max(0.0, half - self._clock()))
        while True:
            try:
                held = await self._renewed(identity)
            except (CaError, OSError) as error:
                if self.problems.get(identity) != str(error):
                    _log.warning("no certificate", identity=identity, error=error)
                self.problems[identity] = str(error)
                await asyncio.sleep(next(delays))
                continue
            delays = aio.backoff(0.05, 5.0)
            self.problems.pop(identity, None)
            self._held[identity] = held
            self._watch(held)
            if self._keyring is not None:
                self._keyring.keep(identity, held.key, held.chain, self.roots)
            self._arrived[identity].set()
            self._changed()
            # Half of what is left, give or take a tenth: a node's certificates must not all renew in one second.
            await self._rest(max(1.0, (held.ends - self._clock()) * random.uniform(0.4, 0.5)))

    async def _renewed(self, identity: str) -> Held:
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        csr = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(alternative, critical=True)
            .sign(key, hashes.SHA256())
        )
        issued = await self._ca.certify(csr.public_bytes(_PEM).decode(), identity, self._lifetime)
        leaf = _checked(issued, identity, key.public_key())
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.roots = issued.roots
        begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        return Held(identity, Secret(private), "".join(issued.chain), begins, ends, f"{leaf.serial_number:x}")


def _leads(chain: str, roots: str) -> bool:
    """Does the chain's last certificate come from one of these roots?"""
    try:
        last = x509.load_pem_x509_certificates(chain.encode())[-1]
        trusted = x509.load_pem_x509_certificates(roots.encode())
    except ValueError:
        return False
    for root in trusted:
        try:
            last.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return last in trusted


def _checked(issued: Issued, identity: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    try:
        leaf = x509.load_pem_x509_certificate(issued.chain[0].encode())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        x509.load_pem_x509_certificates(issued.roots.encode())
    except (ValueError, IndexError, x509.ExtensionNotFound) as error:
        raise CaError(f"the authority's answer cannot be read: {error}") from error
    if names.get_values_for_type(x509.UniformResourceIdentifier) != [identity]:
        raise CaError(f"the authority certified another identity than {identity}")
    if leaf.public_key() != key:
        raise CaError("the authority certified another key than ours")
    return leaf
