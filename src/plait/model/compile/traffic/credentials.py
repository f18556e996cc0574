"""Secrets and ConfigMaps that gateways name: is there one, and does it hold what it should. Contents go no further.

A certificate that cannot be used breaks the listener that names it, nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from plait.model.compile.memory import Memory
from plait.resources.kubernetes import ConfigMap, Secret

Name = tuple[str, str]
CERTIFICATE, KEY = ("tls.crt", "cert"), ("tls.key", "key")


class Credentials:
    """All credentials, each looked into once while it does not change."""

    def __init__(self, secrets: Mapping[Name, Secret], config_maps: Mapping[Name, ConfigMap], memory: Memory) -> None:
        self._secrets, self._maps, self._memory = secrets, config_maps, memory

    def known(self, name: str) -> bool:
        """Whether there is a Secret "ns/name", or "configmap:ns/name", whatever is in it."""
        if name.startswith("configmap:"):
            return _name(name.removeprefix("configmap:")) in self._maps
        return _name(name) in self._secrets

    def certificate(self, name: str) -> str:
        """Why the Secret "ns/name" is no certificate with key; "" when it is."""
        secret = self._secrets.get(_name(name))
        if secret is None:
            return f"Secret {name} does not exist"
        return self._memory.made(("certificate", name), secret, lambda: pair(secret))

    def roots(self, name: str) -> str:
        """Why "ns/name" (a Secret) or "configmap:ns/name" holds no root certificates; "" when it does."""
        if name.startswith("configmap:"):
            found = self._maps.get(_name(name.removeprefix("configmap:")))
            if found is None:
                return f"ConfigMap {name.removeprefix('configmap:')} does not exist"
            return self._memory.made(("roots", name), found, lambda: _roots((found.data or {}).get("ca.crt", "")))
        secret = self._secrets.get(_name(name))
        if secret is None:
            return f"Secret {name} does not exist"
        return self._memory.made(("roots", name), secret, lambda: _secret_roots(secret))

    def pem(self, name: str) -> str:
        """`ca.crt` of ConfigMap "ns/name" ("" none): the one content that is no secret and travels inline."""
        found = self._maps.get(_name(name))
        return (found.data or {}).get("ca.crt", "") if found is not None else ""


def _name(text: str) -> Name:
    namespace, _, name = text.partition("/")
    return namespace, name


def value(secret: Secret, *names: str) -> bytes:
    """What stands under the first of these names; empty when nothing does, or it is no base64."""
    for name in names:
        if text := (secret.data or {}).get(name):
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                return b""
        if plain := (secret.string_data or {}).get(name):
            return plain.encode()
    return b""


def pair(secret: Secret) -> str:
    """Why it is no certificate with its key; "" when it is."""
    where = f"Secret {secret.namespace}/{secret.name}"
    certificate, key = value(secret, *CERTIFICATE), value(secret, *KEY)
    if not certificate or not key:
        return f"{where} lacks tls.crt or tls.key"
    try:
        chain = x509.load_pem_x509_certificates(certificate)
    except ValueError:
        return f"tls.crt of {where} is no PEM certificate"
    try:
        private = load_pem_private_key(key, None)
    except Exception:  # what a key's text can be wrong in, the library says in many types
        return f"tls.key of {where} is no PEM private key"
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
        return f"tls.key of {where} does not belong to tls.crt"
    return ""


def _secret_roots(secret: Secret) -> str:
    found = value(secret, "ca.crt", "cacert")
    return (
        _roots(found.decode("utf-8", "replace")) if found else f"Secret {secret.namespace}/{secret.name} lacks ca.crt"
    )


def _roots(text: str) -> str:
    try:
        return "" if x509.load_pem_x509_certificates(text.encode()) else "ca.crt is empty"
    except ValueError:
        return "ca.crt is no PEM certificate"
