"""What every run says at its end: which lines of docs/reliability.md were tried, and how that went."""

from __future__ import annotations

from collections import Counter, defaultdict

import hypothesis
import pytest

MARK = "reliability"

# A deadline measures the machine, which others use too.
hypothesis.settings.register_profile("plait", deadline=None)
hypothesis.settings.load_profile("plait")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The numbers go with each report, so that they are known where workers' reports come together."""
    for item in items:
        item.user_properties += [(MARK, mark.kwargs["number"]) for mark in item.iter_markers(MARK)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that measures hands in what it found by `record_property("figure", …)`."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    figures: defaultdict[int, list[str]] = defaultdict(list)
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, number in getattr(report, "user_properties", ()):  # what was not collected has none
                if name == MARK:
                    found[number][outcome] += 1
                    figures[number] += [text for kind, text in report.user_properties if kind == "figure"]
    if not found:
        return
    terminalreporter.section("reliability tests (docs/reliability.md)")
    for number, outcomes in sorted(found.items()):
        terminalreporter.write_line(f"{number:>3}  " + ", ".join(f"{n} {what}" for what, n in outcomes.items()))
        for figure in figures[number]:
            terminalreporter.write_line(f"     {figure}")
