"""The kind a user means by a word like `po`, `vs` or `gateways.gateway.networking.k8s.io`."""

from __future__ import annotations

import difflib

import click

from plait.resources import kinds
from plait.resources.kinds import Kind


def meant(word: str) -> Kind:
    """One kind; UsageError when none or several are meant, with what to type instead."""
    found = list(kinds.named(word))
    if len(found) == 1:
        return found[0]
    if not found:
        words = [name for kind in kinds.ALL for name in (kind.plural, *kind.short_names)]
        close = difflib.get_close_matches(word.lower(), words, n=3)
        raise click.UsageError(f"no kind {word!r}" + (f"; did you mean {', '.join(close)}?" if close else ""))
    raise click.UsageError(f"{word!r} may be {' or '.join(map(str, found))}: type it in full")
