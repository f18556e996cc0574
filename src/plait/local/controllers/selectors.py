"""Does a LabelSelector (matchLabels, matchExpressions) choose these labels? The string grammar is the server's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """None selects nothing, {} selects everything, as in Kubernetes."""
    if selector is None:
        return False
    mine = labels or {}
    if any(mine.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(expression_holds(e, mine) for e in selector.get("matchExpressions") or ())


def expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One requirement: In, NotIn, Exists, DoesNotExist, and Gt and Lt of node affinity. Others never hold."""
    key, values = expression.get("key", ""), list(expression.get("values") or ())
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            try:
                mine, bound = int(labels[key]), int(values[0])
            except (KeyError, ValueError, IndexError):
                return False
            return mine > bound if operator == "Gt" else mine < bound
    return False
