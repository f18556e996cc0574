"""Issuers of tokens whose keys nobody wrote: what their own configuration says (OpenID Connect Discovery).

Asking is the control plane's (`app.discovery`); what came of it is an input of `compile`, as objects are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

_LONGEST: Final = 2048
_PATH: Final = "/.well-known/openid-configuration"


class Provider(Struct, frozen=True, gc=False):
    """What is known of one issuer."""

    jwks_uri: str = ""
    """Where its keys are, as it said last; "" while it never did."""
    wrong: str = ""
    """Why it did not say so when it was asked last."""


Providers = Mapping[str, Provider]
"""By issuer. One that is not there was not asked yet."""
NOBODY: Final[Providers] = MappingProxyType({})


def configuration(issuer: str) -> str:
    """Where an issuer's configuration is; "" where its name is no URL."""
    return issuer.removesuffix("/") + _PATH if is_url(issuer) else ""


def jwks_uri(document: bytes) -> str:
    """What a configuration says. Raises ValueError, in words for people, where that is nothing of use."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        found = None
    uri = found.get("jwks_uri") if isinstance(found, dict) else None
    if not isinstance(uri, str):
        raise ValueError("its answer is no configuration with a jwks_uri")
    if not is_url(uri):
        raise ValueError("the jwks_uri in its answer is no http(s) URL")
    return uri


def is_url(text: str) -> bool:
    """Of http(s), with a host, and of signs that a proxy can be told."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and len(text) <= _LONGEST
            and text.isascii()
            and text.isprintable()
            and " " not in text
        )
    except ValueError:
        return False
