"""Who is calling? A bearer token goes in, a verified service account (and the pod or node it is bound to) comes out.

The check itself is Kubernetes' TokenReview, reached through a `Reviewer` that `app` hands in. Answers are kept
for a few seconds, so a node that asks for many certificates costs one review.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from plait.base.wellknown import CA_AUDIENCE

Reviewer = Callable[[str, tuple[str, ...]], Awaitable[Mapping[str, Any]]]
"""(token, audiences) -> the `status` of a TokenReview."""

KEPT: Final = 10.0  # seconds: how long a token taken back may still work
_MOST_KEPT = 4096
_LONGEST = 16 * 1024
_EXTRA = "authentication.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated service account; `pod` and `node` are what the token is bound to, "" where it is not."""

    namespace: str
    service_account: str
    pod: str = ""
    pod_uid: str = ""
    node: str = ""


class NotAuthenticated(Exception):
    """No usable identity; the message says why, without the token."""


class Tokens:
    """Authenticates bearer tokens of one audience."""

    def __init__(self, reviewer: Reviewer, clock: Callable[[], float], audience: str = CA_AUDIENCE) -> None:
        self._reviewer, self._clock, self._audience = reviewer, clock, audience
        self._key = os.urandom(16)
        self._kept: dict[bytes, tuple[float, Caller]] = {}

    async def authenticate(self, authorization: str) -> Caller:
        """`authorization` is the header as sent. Only successes are kept: a refused token may become good."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise NotAuthenticated("no bearer token: send metadata `authorization: Bearer <token>`")
        if len(token) > _LONGEST:
            raise NotAuthenticated("the token is too long")
        digest = blake2b(token.encode(), key=self._key, digest_size=32).digest()
        now = self._clock()
        kept = self._kept.get(digest)
        if kept is not None and now < kept[0]:
            return kept[1]
        caller = read(await self._reviewer(token, (self._audience,)), self._audience)
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {key: value for key, value in self._kept.items() if value[0] > now}
        if len(self._kept) < _MOST_KEPT:
            self._kept[digest] = (now + KEPT, caller)
        return caller


def read(status: Mapping[str, Any], audience: str) -> Caller:
    """The caller a TokenReview status describes; NotAuthenticated when it describes none."""
    if status.get("authenticated") is not True:
        raise NotAuthenticated(f"the token was refused: {status.get('error') or 'not authenticated'}")
    if not any(hmac.compare_digest(str(one), audience) for one in status.get("audiences") or ()):
        raise NotAuthenticated(f"the token is not for audience {audience}")
    user = status.get("user") or {}
    words = str(user.get("username", "")).split(":")
    if len(words) != 4 or words[:2] != ["system", "serviceaccount"] or not all(words):
        raise NotAuthenticated("the token is not a service account's")
    extra = user.get("extra") or {}

    def one(name: str) -> str:
        values = extra.get(_EXTRA + name) or ("",)
        return str(values[0])

    return Caller(words[2], words[3], one("pod-name"), one("pod-uid"), one("node-name"))
