"""Small values of the networking kinds read into nouns: durations, string tests, header changes, expressions."""

from __future__ import annotations

from collections.abc import Mapping

from plait.base import regexes
from plait.model.compile.traffic.report import BAD_VALUE, Report
from plait.model.routes import HeaderChange, TextMatch
from plait.resources import durations
from plait.resources.networking.traffic import StringMatch


def seconds(text: str | None, path: str, report: Report, least: float = 0.0) -> float | None:
    """Seconds of a duration, None when there is none, or it cannot be read or is below `least` (which is said)."""
    if text is None or text == "":
        return None
    found = durations.seconds(text)
    if found is not None and 0 <= found < least:
        report.error(BAD_VALUE, path, f"{text} is too short; write {least * 1000:g}ms or more")
        return None
    if found is None or found < 0:
        report.error(BAD_VALUE, path, f"{text!r} is no duration; write one such as 5s or 250ms")
        return None
    return found


def text_of(text: str, path: str, report: Report) -> str:
    """What may stand in a header; "" (which is said) for one that would end it."""
    if any(character in text for character in "\0\r\n"):
        report.error(BAD_VALUE, path, "a header has no line breaks or zero bytes; remove them")
        return ""
    return text


def expression(text: str, path: str, report: Report) -> bool:
    """Whether RE2 takes this, as proxies have it."""
    if why := regexes.refused(text):
        report.error(BAD_VALUE, path, f"{_short(text)} is no RE2 expression: {_short(why)}; mend it")
    return not why


def _short(text: str) -> str:
    return repr(text) if len(text) <= 200 else f"{text[:200]!r}…"


class Unusable(Exception):
    """A match that cannot be read: what it stands in must not apply (it was said why)."""


def text_match(found: StringMatch | None, path: str, report: Report, *, ignore_case: bool = False) -> TextMatch | None:
    """The test, or None when nothing is asked. Raises Unusable on an expression nobody can run."""
    if found is None:
        return None
    if found.exact is not None:
        return TextMatch("exact", found.exact, ignore_case)
    if found.prefix is not None:
        return TextMatch("prefix", found.prefix, ignore_case)
    if found.regex is not None:
        if not expression(found.regex, f"{path}.regex", report):
            raise Unusable
        return TextMatch("regex", found.regex)
    return None


def changes(given: Mapping[str, str], added: Mapping[str, str], removed: tuple[str, ...]) -> HeaderChange:
    return HeaderChange(tuple(given.items()), tuple(added.items()), removed)
