"""Cipher suites by Envoy's names: one that it does not know would make it refuse the whole listener."""

from __future__ import annotations

from collections.abc import Iterable

KNOWN = frozenset(
    {
        *(f"ECDHE-{key}-{rest}" for key in ("ECDSA", "RSA") for rest in ("AES128-GCM-SHA256", "AES256-GCM-SHA384")),
        *(
            f"ECDHE-{key}-{rest}"
            for key in ("ECDSA", "RSA")
            for rest in ("CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
        ),
        *(f"AES{rest}" for rest in ("128-GCM-SHA256", "256-GCM-SHA384", "128-SHA", "256-SHA")),
    }
)
"""What BoringSSL offers below TLS 1.3, whose suites nobody chooses."""


def sorted_out(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that are known, each once, and the others."""
    wanted = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    return tuple(n for n in wanted if n in KNOWN), tuple(n for n in wanted if n not in KNOWN)
