"""JSON Web Key Sets written into policies: is there a key in one that a proxy can use.

One key is enough; of a set without any Envoy refuses the whole listener, and everything else on it.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "OKP": ("EdDSA",),
    "oct": ("HS256", "HS384", "HS512"),
}


def refused(text: str) -> str:
    """Why no token can be checked with this set; "" where one can."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        return "this is no JSON Web Key Set"
    return "" if any(map(_usable, found["keys"])) else "no key in it can be used"


def _usable(key: Any) -> bool:
    try:
        return _made(key, str(key.get("alg", "")))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _made(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether it is a key. Raises one of many errors where it is not."""
    kind, made = key["kty"], True
    match kind:
        case "RSA":
            rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
        case "EC":
            kind = key["crv"]
            ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), _CURVES[kind]).public_key()
        case "OKP":
            made = key["crv"] == "Ed25519"
            ed25519.Ed25519PublicKey.from_public_bytes(_bytes(key["x"]))
        case "oct":
            made = bool(_bytes(key["k"]))
        case _:
            return False
    return made and (not algorithm or algorithm in _ALGORITHMS[kind])


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")


def _bytes(text: str) -> bytes:
    """URL-safe base64, with or without its padding. The library skips signs that are none of the alphabet."""
    bare = text.rstrip("=")
    if not all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in bare):
        raise ValueError(text)
    return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
