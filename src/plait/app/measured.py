"""What was measured of the proxies that run a Gateway, and what its status says of it. No IO.

Whether a Gateway is programmed is not known from what was written, only from proxies that run and took their
configuration. Who runs them says so by `Measured`; until somebody does, a Gateway is pending.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from plait.model.status import Condition, GatewayStatus

Document = dict[str, Any]
Name = tuple[str, str]


class Measured(Protocol):
    """One Gateway's proxies. `addresses` are IP addresses or host names; `reason` is a condition's, one word.

    `message` says it in full.
    """

    @property
    def addresses(self) -> Sequence[str]: ...

    @property
    def programmed(self) -> bool: ...

    @property
    def reason(self) -> str: ...

    @property
    def message(self) -> str: ...


class Refusal(Struct, frozen=True):
    """Proxies that run, and that refuse what they are told now."""

    addresses: tuple[str, ...]
    message: str
    programmed: bool = False
    reason: str = "Invalid"


_NOBODY = "no proxy of this gateway has its configuration yet"
Measure = Callable[[], Mapping[Name, Measured]]


def nothing() -> Mapping[Name, Measured]:
    """Nobody runs proxies."""
    return {}


def judged(found: Mapping[Name, Measured], refused: Mapping[str, str]) -> dict[Name, Measured]:
    """`refused`: why proxies of a Gateway ("ns/name") did not take what they were told last: it is not programmed."""
    return {
        name: each if (why := refused.get("/".join(name))) is None else Refusal(tuple(each.addresses), why)
        for name, each in found.items()
    }


def programmed(status: GatewayStatus, found: Measured | None) -> GatewayStatus:
    """With Programmed as measured, of the gateway and its listeners. What is broken as written stays broken."""
    if found is not None and found.programmed:
        return status
    reason, text = (found.reason, found.message) if found is not None else ("Pending", _NOBODY)
    pending = Condition("Programmed", "False", reason or "Pending", text)

    def told(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
        return tuple(pending if (each.type, each.status) == ("Programmed", "True") else each for each in conditions)

    listeners = tuple(msgspec.structs.replace(each, conditions=told(each.conditions)) for each in status.listeners)
    return msgspec.structs.replace(status, conditions=told(status.conditions), listeners=listeners)


def addresses(found: Measured) -> list[Document]:
    return [{"type": _type(each), "value": each} for each in found.addresses]


def _type(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        return "Hostname"
    return "IPAddress"
