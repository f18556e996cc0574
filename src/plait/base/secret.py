"""Bytes that redact themselves when printed, dumped or compared by accident in a log."""

from __future__ import annotations

import hmac


class Secret:
    """Holds key material. `reveal()` is the only way to the bytes; repr, str and format never show them."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return f"Secret(<{len(self._value)} bytes>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))
