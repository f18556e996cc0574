"""Who may call themselves what: a certificate signing request and an identity go in, a certificate comes out.

Pure: time, serial number and signing key are arguments, a bad request is a `Refused` value. Whether the caller may have
this identity at all is not decided here but in `service`; where the signing key lives is `trust`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from plait.base.spiffe import SpiffeId

DEFAULT_LIFETIME = 24 * 3600.0
LONGEST_LIFETIME = 90 * 24 * 3600.0
SKEW = 120.0  # certificates start this long ago: clocks of nodes differ
_LARGEST_REQUEST = 16 * 1024
_RSA_BITS = range(2048, 4097)  # above, one verification costs the authority milliseconds: a cheap attack

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Signer:
    """A signing key with its certificate; `chain` are the PEM certificates between it and the root, itself included."""

    key: PrivateKey
    certificate: x509.Certificate
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request got no certificate; safe to show to the caller."""

    reason: str


def sign(csr_pem: str, identity: SpiffeId, signer: Signer, now: float, lifetime: float, serial: int) -> str | Refused:
    """The leaf certificate (PEM) for the request's key, saying `identity` and nothing else.

    Subject and SANs of the request are ignored. The end is capped by LONGEST_LIFETIME and by the signer's own end.
    """
    key = _requested_key(csr_pem)
    if isinstance(key, Refused):
        return key
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))])
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _issue(key, uri, usages, signer, now, lifetime, serial)


def server_certificate(
    key: PublicKey,
    hosts: Sequence[str],
    addresses: Sequence[IPv4Address | IPv6Address],
    signer: Signer,
    now: float,
    lifetime: float,
    serial: int,
) -> str | Refused:
    """A certificate for the control plane's own TLS port, under the same root as the workloads'."""
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    names += [x509.IPAddress(address) for address in addresses]
    alternative = x509.SubjectAlternativeName(names)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    return _issue(key, alternative, usages, signer, now, lifetime, serial)


def requested(csr_pem: str) -> Refused | None:
    """Why nobody should sign this request; None when it is in order."""
    key = _requested_key(csr_pem)
    return key if isinstance(key, Refused) else None


def _requested_key(csr_pem: str) -> PublicKey | Refused:
    if len(csr_pem) > _LARGEST_REQUEST:
        return Refused(f"the CSR is larger than {_LARGEST_REQUEST} bytes")
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        key = csr.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, UnicodeEncodeError):
        return Refused("csr is not a PEM encoded PKCS#10 certificate request with a supported key")
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            return Refused(f"the RSA key has {key.key_size} bits; use ECDSA P-256 or RSA of 2048 to 4096 bits")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return Refused("unsupported kind of key; use ECDSA P-256")
    try:
        valid = csr.is_signature_valid
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        valid = False
    return key if valid else Refused("the CSR is not signed by the key it carries")


def _issue(
    key: PublicKey,
    alternative: x509.SubjectAlternativeName,
    usages: list[x509.ObjectIdentifier],
    signer: Signer,
    now: float,
    lifetime: float,
    serial: int,
) -> str | Refused:
    start = datetime.fromtimestamp(now - SKEW, UTC).replace(microsecond=0)
    signer_end = signer.certificate.not_valid_after_utc
    if not lifetime > 0:  # also refuses NaN
        return Refused("the validity must be more than 0 seconds")
    end = datetime.fromtimestamp(now, UTC).replace(microsecond=0) + timedelta(seconds=min(lifetime, LONGEST_LIFETIME))
    if signer_end <= datetime.fromtimestamp(now, UTC):
        return Refused(f"the signing certificate ended at {signer_end:%Y-%m-%d %H:%M} UTC; renew the mesh's authority")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(signer.certificate.subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(max(start, signer.certificate.not_valid_before_utc))
        .not_valid_after(min(end, signer_end))
        # An empty subject makes the alternative name critical (RFC 5280, 4.1.2.6).
        .add_extension(alternative, critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_leaf_usage(key), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _leaf_usage(key: PublicKey) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=isinstance(key, rsa.RSAPublicKey),
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
