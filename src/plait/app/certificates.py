"""Secrets by SDS name as far as they may be shown: the certificate chain or the roots, never a private key.

Only what the manifests hold is filled in; a name alone says that the running mesh would serve it. No IO.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from plait.resources import kinds
from plait.resources.kubernetes import ConfigMap, Secret
from plait.resources.objects import Objects

Document = dict[str, Any]
_SECRET, _CONFIG_MAP, _ROOTS = "kubernetes://", "configmap://", "-cacert"


def shown(name: str, objects: Objects) -> Document:
    """The document of one secret."""
    if name.startswith(_CONFIG_MAP):
        found = objects.of(kinds.CONFIG_MAP).get(_ident(name.removeprefix(_CONFIG_MAP).removesuffix(_ROOTS)))
        return _roots(name, (found.data or {}).get("ca.crt", "") if isinstance(found, ConfigMap) else "")
    if not name.startswith(_SECRET):
        return {"name": name}
    bare = name.removeprefix(_SECRET)
    secrets = objects.of(kinds.SECRET)
    found = secrets.get(_ident(bare))
    if found is not None and (chain := _text(found, "tls.crt", "cert")):
        return {"name": name, "tls_certificate": {"certificate_chain": _inline(chain)}}
    found = found or secrets.get(_ident(bare.removesuffix(_ROOTS)))
    if found is None:
        return {"name": name}
    return _roots(name, _text(found, "ca.crt", "cacert"), _whole(found, "ca.crl"))


def served(name: str, objects: Objects) -> Document | None:
    """What a gateway asks for by SDS, the key included; None when there is no such object or it holds nothing usable.

    Only for the stream of the proxy that needs it: which names those are, compile decided (grants, namespaces).
    """
    if name.startswith(_SECRET) and not name.endswith(_ROOTS):
        found = objects.of(kinds.SECRET).get(_ident(name.removeprefix(_SECRET)))
        chain, key = (_whole(found, *fields) for fields in (("tls.crt", "cert"), ("tls.key", "key")))
        if chain and key:
            pair = {"certificate_chain": _inline(chain), "private_key": _inline(key)}
            return {"name": name, "tls_certificate": pair}
        return None
    document = shown(name, objects)
    return document if len(document) > 1 else None


def _whole(secret: Secret | None, *fields: str) -> str:
    """The content of the first field that there is."""
    for field in fields if secret is not None else ():
        assert secret is not None
        if encoded := (secret.data or {}).get(field):
            try:
                return base64.b64decode(encoded, validate=True).decode("ascii")
            except (binascii.Error, ValueError):
                return ""
    return ""


def _roots(name: str, text: str, revoked: str = "") -> Document:
    if not text:
        return {"name": name}
    crl = {"crl": _inline(revoked)} if revoked else {}
    return {"name": name, "validation_context": {"trusted_ca": _inline(text), **crl}}


def _ident(text: str) -> tuple[str, str]:
    namespace, _, name = text.partition("/")
    return namespace, name


def _inline(text: str) -> Document:
    return {"inline_string": text}


def _text(secret: Secret, *fields: str) -> str:
    """Only certificates: somebody may have put the key into the same field."""
    for field in fields:
        if encoded := (secret.data or {}).get(field):
            try:
                return _public(base64.b64decode(encoded, validate=True).decode("ascii", "replace"))
            except (binascii.Error, ValueError):
                return ""
        if plain := (secret.string_data or {}).get(field):
            return _public(plain)
    return ""


def _public(text: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    blocks = (each.partition(end)[0] for each in text.split(begin)[1:])
    return "".join(f"{begin}{block}{end}\n" for block in blocks if "-----" not in block)
