from __future__ import annotations

from plait.model.reconciled import reconciled
from plait.model.status import Message
from plait.resources.problems import Problem, Severity


def problem(severity: Severity, code: str = "IST0101", path: str = "spec.http[0]") -> Problem:
    return Problem(code, severity, "VirtualService", "shop", "cart", path, "host x does not exist; create it")


def test_an_object_without_problems_is_in_effect() -> None:
    assert reconciled(()).conditions[0].status == "True"
    assert reconciled([problem("info")]) == reconciled(())


def test_an_error_says_code_and_path() -> None:
    found = reconciled([problem("error"), problem("warning", "IST0130", "spec.http[1]")])
    condition = found.conditions[0]
    assert (condition.status, condition.reason) == ("False", "Invalid")
    assert "IST0101 spec.http[0]: host x does not exist; create it" in condition.message
    assert found.messages == (Message("IST0101", "error"), Message("IST0130", "warning"))


def test_a_warning_leaves_it_in_effect() -> None:
    condition = reconciled([problem("warning")]).conditions[0]
    assert (condition.status, condition.reason) == ("True", "AcceptedWithWarnings")


def test_very_many_problems_are_counted() -> None:
    found = reconciled([problem("error", path=f"spec.http[{n}]") for n in range(50)])
    assert found.conditions[0].message.endswith("; and 30 more")
    assert found.messages == (Message("IST0101", "error"),)
