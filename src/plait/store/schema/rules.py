"""CEL rules of a schema (`x-kubernetes-validations`): run on values, and which of them cannot be run here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from plait.store import expressions
from plait.store.schema.field_errors import INVALID, Report, Schema, Trail

Rule = Callable[[Any, Any, Trail, Report], None]  # value, old value (None: no old value), where, report
_ABOUT_CHANGE = re.compile(r"\boldSelf\b")


def compiled(rule: Schema) -> Rule | None:
    """One CEL rule; None when it does not compile here (`unusable` tells which those are)."""
    source = rule["rule"]
    try:
        expressions.program(source)
    except expressions.ExpressionError:
        return None
    change = _ABOUT_CHANGE.search(source) is not None
    reason = rule.get("reason") or INVALID

    def run(value: Any, old: Any, trail: Trail, report: Report) -> None:
        if change and old is None:
            return
        variables = {"self": value, "oldSelf": old} if change else {"self": value}
        try:
            good = expressions.evaluate(source, variables)
            told = "failed rule: " + source.strip()
        except expressions.ExpressionError as error:
            good, told = False, f"rule evaluation error: {error}"
        if good is True:
            return
        message = rule.get("message") or told
        if text := rule.get("messageExpression"):
            try:
                message = str(expressions.evaluate(text, variables))
            except expressions.ExpressionError:
                pass
        shown = _type_name(value) if isinstance(value, (dict, list)) else json.dumps(value)
        report(trail, f"Invalid value: {shown}: {message}", reason)

    return run


def unusable(schema: Schema) -> Iterator[tuple[str, str]]:
    """(rule, why) of rules in a schema and below it that do not compile here; they are not enforced."""
    for rule in schema.get("x-kubernetes-validations") or ():
        try:
            expressions.program(rule["rule"])
        except expressions.ExpressionError as error:
            yield rule["rule"], str(error)
    children = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for each in children:
        if isinstance(each, dict):
            yield from unusable(each)


def _type_name(value: Any) -> str:
    return '"object"' if isinstance(value, dict) else '"array"'
