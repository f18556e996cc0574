"""String, header, path and claim tests of the model as Envoy's matchers. A test Envoy could not compile is None."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from plait.base import regexes
from plait.envoy.pieces import Doc
from plait.model.policies import Text
from plait.model.routes import ClaimMatch, FieldMatch, PathMatch, TextMatch

JWT = "envoy.filters.http.jwt_authn"
PAYLOAD = "payload"
Form = Literal["text", "list", "either"]


def sound(regex: str) -> bool:
    """Whether RE2 takes this expression: a bad one would take its listener or its routes down."""
    return not regexes.refused(regex)


def string(test: TextMatch) -> Doc | None:
    match test.how:
        case "regex":
            if not sound(test.value):
                return None
            return {"safe_regex": {"regex": f"(?i){test.value}" if test.ignore_case else test.value}}
        case "present":
            return {"safe_regex": {"regex": "(?s).*"}}
        case "exact":
            found: Doc = {"exact": test.value}
        case how if test.value:
            found = {how: test.value}
        case _:
            return {"prefix": ""} if not test.value else None
    if test.ignore_case:
        found["ignore_case"] = True
    return found


def text(test: Text, *, ignore_case: bool = False) -> Doc:
    """A policy's test as a StringMatcher."""
    match test.how:
        case "presence":
            return {"safe_regex": {"regex": "(?s).+"}}
        case how:
            return {how: test.value, **({"ignore_case": True} if ignore_case else {})}


def header(test: FieldMatch) -> Doc | None:
    """A negated test holds for an absent header: so it is read as empty, but for the bare test of presence."""
    if test.value.how == "present":
        return {"name": test.name, "present_match": True, **({"invert_match": True} if test.negated else {})}
    if (found := string(test.value)) is None:
        return None
    document: Doc = {"name": test.name, "string_match": found}
    if test.negated:
        document |= {"invert_match": True, "treat_missing_header_as_empty": True}
    return document


def pseudo(name: str, test: TextMatch) -> Doc | None:
    return header(FieldMatch(name, test))


def query(test: FieldMatch) -> Doc | None:
    """Envoy cannot negate a query parameter."""
    if test.negated:
        return None
    if test.value.how == "present":
        return {"name": test.name, "present_match": True}
    found = string(test.value)
    return None if found is None else {"name": test.name, "string_match": found}


def path(test: PathMatch) -> Doc | None:
    match test.how:
        case "exact":
            document: Doc = {"path": test.value}
        case "prefix":
            document = {"prefix": test.value}
        case "segments":
            trimmed = test.value.rstrip("/")
            if any(sign in trimmed for sign in "?#"):
                return None
            document = {"path_separated_prefix": trimmed} if trimmed else {"prefix": "/"}
        case _:
            if not sound(test.value):
                return None
            return {"safe_regex": {"regex": f"(?i){test.value}" if test.ignore_case else test.value}}
    if test.ignore_case:
        document["case_sensitive"] = False
    return document


def claim(test: ClaimMatch) -> Doc | None:
    """A claim of the verified token, be it text or a list of texts."""
    found = string(test.value)
    if found is None:
        return None
    document = metadata(JWT, (PAYLOAD, *test.path), [found])
    return {**document, "invert": True} if test.negated else document


def metadata(name: str, keys: Iterable[str], tests: list[Doc], *, form: Form = "either") -> Doc:
    """Dynamic metadata that is one of the strings, a list with one of them, or either."""
    options: list[Doc] = []
    for test in tests:
        if form != "list":
            options.append({"string_match": test})
        if form != "text":
            options.append({"list_match": {"one_of": {"string_match": test}}})
    value = options[0] if len(options) == 1 else {"or_match": {"value_matchers": options}}
    return {"filter": name, "path": [{"key": key} for key in keys], "value": value}
