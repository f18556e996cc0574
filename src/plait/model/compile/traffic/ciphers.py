"""Cipher suites and curves by the names that Envoy's TLS library has for them; one it does not know ends a listener."""

from __future__ import annotations

from collections.abc import Iterable

from plait.model.compile.traffic.report import BAD_VALUE, Report

_PLAIN = ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA")
SUITES = frozenset(
    (
        *(
            f"ECDHE-{key}-{rest}"
            for key in ("ECDSA", "RSA")
            for rest in (*_PLAIN, "AES128-SHA256", "CHACHA20-POLY1305")
        ),
        *_PLAIN,
        "DES-CBC3-SHA",
    )
)
CURVES = frozenset({"P-256", "P-384", "P-521", "X25519", "X25519MLKEM768"})


def suites(given: Iterable[str], path: str, report: Report) -> tuple[str, ...]:
    """Those of `given` that there are, each once; of others it is told. `[a|b]`: suites of one rank."""
    return _known(given, SUITES, path, "cipher suite", "ECDHE-ECDSA-AES256-GCM-SHA384", report)


def sorted_out(given: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Suites that there are, each once, and the others."""
    named = tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
    return tuple(n for n in named if _is(n, SUITES)), tuple(n for n in named if not _is(n, SUITES))


def curves(given: Iterable[str], path: str, report: Report) -> tuple[str, ...]:
    return _known(given, CURVES, path, "curve", "X25519", report)


def _known(
    given: Iterable[str], known: frozenset[str], path: str, what: str, like: str, report: Report
) -> tuple[str, ...]:
    found = []
    for index, name in enumerate(given):
        if _is(name, known):
            found.append(name)
        else:
            text = f"{name!r} is no {what} of this Envoy, so it is left out; write one such as {like}"
            report.error(BAD_VALUE, f"{path}[{index}]", text)
    return tuple(dict.fromkeys(found))


def _is(name: str, known: frozenset[str]) -> bool:
    return known.issuperset(name.removeprefix("[").removesuffix("]").split("|"))
