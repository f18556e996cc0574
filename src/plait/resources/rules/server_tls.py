"""Rules of TLS at a listening port: what each mode needs and what it leaves no room for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from plait.resources.rules import words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_MUTUAL = ("MUTUAL", "OPTIONAL_MUTUAL")
_DIGESTS = {
    "Spki": re.compile(r"[A-Za-z0-9+/]{43}="),
    "Hash": re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}"),
}
"""SHA-256 as Envoy reads it, of a public key or of a whole certificate."""


def settings(path: str, tls: Any) -> Iterator[Finding]:
    """TLS of a port; whether its protocol takes TLS is not asked here."""
    named = tls.credential_name or tls.credential_names or tls.tls_certificates
    own = {"serverCertificate": tls.server_certificate, "privateKey": tls.private_key}
    if tls.mode in ("SIMPLE", *_MUTUAL) and not named:
        for name in (name for name, value in own.items() if not value):
            yield bad(f"{path}.{name}", f"mode {tls.mode} needs credentialName or {name}; add one")
        if tls.mode != "SIMPLE" and not (tls.ca_certificates or tls.ca_cert_credential_name):
            yield bad(f"{path}.caCertificates", f"mode {tls.mode} needs credentialName or caCertificates; add one")
    if tls.mode in _MUTUAL and tls.tls_certificates and not tls.insecure_skip_verify:
        roots = tls.ca_certificates or tls.ca_cert_credential_name
        if not roots and not any(each.ca_certificates for each in tls.tls_certificates):
            where = f"{path}.tlsCertificates[0].caCertificates"
            yield bad(where, f"mode {tls.mode} needs roots for client certificates; add them")
    if tls.mode == "ISTIO_MUTUAL" and (named or tls.ca_certificates or any(own.values())):
        yield bad(path, "ISTIO_MUTUAL uses the mesh's certificates; remove credentialName and files")
    if tls.ca_crl and (tls.credential_name or tls.mode not in _MUTUAL):
        text = "revocations are read from a file for MUTUAL and OPTIONAL_MUTUAL; a credential brings its own"
        yield bad(f"{path}.caCrl", f"{text}; remove caCrl")
    given = {
        "credentialName": tls.credential_name,
        "credentialNames": tls.credential_names,
        "tlsCertificates": tls.tls_certificates,
    }
    yield from words.exactly_one(path, given, none_is_fine=True)
    yield from _digests(path, tls)
    low, high = tls.min_protocol_version, tls.max_protocol_version
    if "TLS_AUTO" not in (low, high) and low > high:
        yield bad(f"{path}.minProtocolVersion", f"{low} is newer than {high}; exchange them")


def _digests(path: str, tls: Any) -> Iterator[Finding]:
    for field, values in (("Spki", tls.verify_certificate_spki), ("Hash", tls.verify_certificate_hash)):
        for index, value in enumerate(values):
            if not _DIGESTS[field].fullmatch(value):
                form = "44 characters of base64" if field == "Spki" else "64 hexadecimal digits, with or without colons"
                where = f"{path}.verifyCertificate{field}[{index}]"
                yield bad(where, f"{value!r} is no SHA-256 digest; write its {form}")
