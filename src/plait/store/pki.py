"""Keys and certificates of the API server and its clients, kept as 0600 files in one 0700 directory.

`Pki.open` loads what is there and makes what is missing; it never replaces a usable file. Workload (SPIFFE)
certificates are room `identity`'s, not these.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=3650)  # a local mesh outlives no laptop; nothing here is meant to be rotated
SERVER_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate file and its key file."""

    certificate: Path
    key: Path


class Pki:
    """One cluster's certificate authority and what it signed. `now` dates the certificates made by this object."""

    def __init__(self, directory: Path, now: float) -> None:
        self.directory = directory
        self._now = datetime.fromtimestamp(now, UTC)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        self.ca = self._pair("ca")
        if not self.ca.certificate.exists():
            self._make_ca()
        self._ca_certificate = x509.load_pem_x509_certificate(self.ca.certificate.read_bytes())
        self._ca_key = _load_key(self.ca.key)

    @property
    def token_key(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs ServiceAccount tokens."""
        path = self.directory / "sa.key"
        if not path.exists():
            _write(path, _pem(ec.generate_private_key(ec.SECP256R1())))
        return _load_key(path)

    def server(self, hosts: Iterable[str]) -> Pair:
        """The server's certificate for its well-known names and `hosts` (names or addresses)."""
        names = [*SERVER_NAMES, "127.0.0.1", "::1", *hosts]
        pair = self._pair("apiserver")
        if pair.certificate.exists() and _names(pair.certificate) >= set(names):
            return pair
        alternatives = x509.SubjectAlternativeName([_general(n) for n in dict.fromkeys(names)])
        return self._issue(pair, _subject("kube-apiserver"), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, file: str, user: str, groups: Iterable[str] = ()) -> Pair:
        """A client certificate (CN=user, O=groups) under a file name; made once."""
        pair = self._pair(file)
        if not pair.certificate.exists():
            self._issue(pair, _subject(user, *groups), ExtendedKeyUsageOID.CLIENT_AUTH)
        return pair

    def admin(self) -> Pair:
        return self.client("admin", "kubernetes-admin", ["system:masters"])

    def node(self, name: str) -> Pair:
        return self.client(f"node-{name}", f"system:node:{name}", ["system:nodes"])

    def server_context(self, hosts: Iterable[str]) -> ssl.SSLContext:
        """TLS for listeners: client certificates are optional, but verified when sent."""
        pair = self.server(hosts)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(pair.certificate, pair.key)
        context.load_verify_locations(self.ca.certificate)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _pair(self, file: str) -> Pair:
        return Pair(self.directory / f"{file}.crt", self.directory / f"{file}.key")

    def _make_ca(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject("plait-cluster-ca")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        built = (
            self._dated(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self.ca.key, _pem(key))
        _write(self.ca.certificate, built.public_bytes(serialization.Encoding.PEM))

    def _issue(
        self,
        pair: Pair,
        subject: x509.Name,
        purpose: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key())
        builder = (
            self._dated(subject, self._ca_certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(authority, critical=False)
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        _write(pair.key, _pem(key))
        signed = builder.sign(self._ca_key, hashes.SHA256())
        _write(pair.certificate, signed.public_bytes(serialization.Encoding.PEM))
        return pair

    def _dated(self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - timedelta(hours=1))
            .not_valid_after(self._now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def client_context(ca: bytes, pair: Pair | None = None) -> ssl.SSLContext:
    """TLS for clients of a server signed by `ca` (PEM), with a client certificate where given."""
    context = ssl.create_default_context(cadata=ca.decode())
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def _subject(user: str, *groups: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(path: Path) -> set[str]:
    found = x509.load_pem_x509_certificate(path.read_bytes())
    value = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(general.value) for general in value}


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path}: not an EC private key; remove the file to have a new one made")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, 0600 from its first byte."""
    temporary = path.with_suffix(path.suffix + ".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)
