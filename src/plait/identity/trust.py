"""Whom the mesh trusts: the signing key, its chain and the bundle of roots, kept as files of one folder.

The files are named as in Istio's `cacerts` secret (ca-key.pem, ca-cert.pem, cert-chain.pem, root-cert.pem), so a
plugged-in intermediate is the same four files. root-cert.pem may hold several roots: the old and the new during a
change of root. Without any file a self-signed root is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from plait.identity.authority import PrivateKey, Signer

KEY, CERTIFICATE, CHAIN, ROOTS = "ca-key.pem", "ca-cert.pem", "cert-chain.pem", "root-cert.pem"
ROOT_LIFETIME = 10 * 365 * 24 * 3600.0
_PEM = serialization.Encoding.PEM


class TrustError(Exception):
    """The folder's files cannot be used; the message names the file and the way out."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What signs and what is trusted. `roots` are PEM certificates, one each."""

    signer: Signer
    roots: tuple[str, ...]

    @property
    def bundle(self) -> str:
        """All roots as one PEM text: the last element of a CreateCertificate answer, and Envoy's ROOTCA."""
        return "".join(self.roots)


def create(organisation: str, now: float, serial: int, lifetime: float = ROOT_LIFETIME) -> Trust:
    """A new self-signed root with an ECDSA P-256 key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)])
    start = datetime.fromtimestamp(now - 120, UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=False,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(seconds=lifetime))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Trust(Signer(key, certificate), (_pem(certificate),))


def load_or_create(folder: Path, organisation: str, now: float, serial: int) -> Trust:
    """The folder's trust; a first call makes and saves it. TrustError when files are there but unusable."""
    # The certificate is written last: without it the folder holds at most the remains of an interrupted save.
    if not (folder / CERTIFICATE).exists():
        save(folder, create(organisation, now, serial))
    return load(folder)


def load(folder: Path) -> Trust:
    """Read the folder; TrustError names the file that is missing or wrong."""
    key = _key(folder / KEY)
    certificate, *_ = _certificates(folder / CERTIFICATE)
    if certificate.public_key() != key.public_key():
        raise TrustError(f"{folder / CERTIFICATE} is not the certificate of {folder / KEY}; replace both together")
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = x509.BasicConstraints(ca=False, path_length=None)
    if not constraints.ca:
        raise TrustError(f"{folder / CERTIFICATE} may not sign (no CA:TRUE); give an authority's certificate")
    roots = _certificates(folder / ROOTS)
    chain = _certificates(folder / CHAIN) if (folder / CHAIN).exists() else []
    if certificate not in roots:
        if certificate not in chain:  # some people's cert-chain.pem begins above the signing certificate
            chain = [certificate, *chain]
        if not _leads(chain[chain.index(certificate) :], roots):
            raise TrustError(
                f"{folder / CERTIFICATE} leads to no root in {folder / ROOTS}; give the certificates between them in "
                f"{folder / CHAIN}, in order"
            )
    return Trust(Signer(key, certificate, tuple(map(_pem, chain))), _distinct(map(_pem, roots)))


def save(folder: Path, trust: Trust) -> None:
    """Write the files: folder 0700, key 0600, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    key = trust.signer.key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / KEY, key, 0o600)
    _write(folder / ROOTS, trust.bundle.encode(), 0o644)
    if trust.signer.chain:
        _write(folder / CHAIN, "".join(trust.signer.chain).encode(), 0o644)
    else:
        (folder / CHAIN).unlink(missing_ok=True)
    _write(folder / CERTIFICATE, _pem(trust.signer.certificate).encode(), 0o644)


def with_roots(trust: Trust, more: Iterable[str]) -> Trust:
    """The same signer, trusting further roots too: the first step of changing the root."""
    return Trust(trust.signer, _distinct((*trust.roots, *more)))


def _key(path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TrustError(f"{path}: not a usable private key ({error}); want unencrypted PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise TrustError(f"{path}: want an ECDSA or RSA key")
    return key


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TrustError(f"{path}: no usable PEM certificate ({error})") from error


def _leads(chain: list[x509.Certificate], roots: list[x509.Certificate]) -> bool:
    """Is each signed by the next, and the last by a root (or one itself)?"""
    for child, parent in pairwise(chain):
        if not _signed(child, parent):
            return False
    return chain[-1] in roots or any(_signed(chain[-1], root) for root in roots)


def _signed(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(_PEM).decode()


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _write(path: Path, content: bytes, mode: int) -> None:
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
