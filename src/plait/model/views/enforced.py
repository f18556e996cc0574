"""Enforced: the policies, tokens, authorizers, telemetry and additions one proxy applies to what it takes in."""

from __future__ import annotations

from msgspec import Struct

from plait.model.http_security import Authorizer, HttpPolicy, RequestAuthentication
from plait.model.http_telemetry import Logging, Metrics, Sink, Tracing
from plait.model.limits import LimitPolicy
from plait.model.patches import PatchSet, Plugin


class Telemetry(Struct, frozen=True):
    """Merged: the most specific object's word on each subject."""

    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    logging: tuple[Logging, ...] = ()
    sinks: tuple[Sink, ...] = ()
    """All that are named above."""


class Enforced(Struct, frozen=True):
    """Policies in the order of evaluation: CUSTOM, DENY, AUDIT, ALLOW, each by namespace and name."""

    policies: tuple[HttpPolicy, ...] = ()
    authentication: tuple[RequestAuthentication, ...] = ()
    authorizers: tuple[Authorizer, ...] = ()
    """All that CUSTOM policies and routes name."""
    telemetry: Telemetry = Telemetry()
    plugins: tuple[Plugin, ...] = ()
    """In the order of the chain."""
    patches: tuple[PatchSet, ...] = ()
    """In the order they are laid on."""
    limits: tuple[LimitPolicy, ...] = ()
    """The oldest first: where only one can hold, it does."""
