from __future__ import annotations

import re
from pathlib import Path

import pytest

from kit import documents as d
from kit.evidence import AMBIENT, evidence, namespace
from plait.base.wellknown import SUPPRESS
from plait.diagnose.analysis import ANALYZERS, Suppression, analyze, heard, suppression, told_by_analyzers
from plait.diagnose.messages import MESSAGES
from plait.resources import codes
from plait.resources.problems import Problem


def test_a_clean_world_is_silent() -> None:
    world = evidence(AMBIENT, d.service("web", "10.96.0.1"), d.pod("web-1", "10.0.0.1", labels={"app": "web"}))
    assert list(analyze(world)) == []


def test_every_message_is_named_as_in_the_table_of_codes() -> None:
    for code, message in MESSAGES.items():
        meaning = codes.MEANINGS.get(code)
        assert meaning is None or meaning.partition(":")[0] == message.name, code
    assert len({each.__qualname__ + each.__module__ for each in ANALYZERS}) == len(ANALYZERS)


def test_the_documentation_lists_the_codes_that_there_are() -> None:
    text = (Path(__file__).parents[3] / "docs" / "diagnose.md").read_text()
    listed = text[text.index("Analyzed: IST") : text.index("Not analyzed")]
    ranges = re.findall(r"(?<!PLT)(?<!\d)(\d{4})(?: to (\d{4}))?", listed)
    found = {f"IST{number:04}" for first, last in ranges for number in range(int(first), int(last or first) + 1)}
    own = set(re.findall(r"PLT\d{4}", listed))
    assert found | own == MESSAGES.keys()


def test_an_annotation_keeps_messages_of_its_object_away() -> None:
    quiet = namespace("quiet")
    quiet["metadata"]["annotations"] = {SUPPRESS: "IST0001, IST0102"}
    world = evidence(quiet, namespace("loud"))
    assert [each.name for each in heard(analyze(world), world)] == ["loud"]
    quiet["metadata"]["annotations"] = {SUPPRESS: "*"}
    world = evidence(quiet)
    assert heard(analyze(world), world) == ()


def test_suppressions_are_patterns() -> None:
    world = evidence(namespace("frod"), namespace("shop"))
    for text, left in (
        ("IST0102", []),
        ("IST0102=Namespace frod", ["shop"]),
        ("IST0102=Namespace *", []),
        ("IST0102=Service *", ["frod", "shop"]),
        ("IST0103", ["frod", "shop"]),
        ("IST01*", []),
    ):
        assert [each.name for each in heard(analyze(world), world, [suppression(text)])] == left, text
    assert suppression("IST0118=Service web.shop") == Suppression("IST0118", "Service", "web", "shop")


@pytest.mark.parametrize("text", ["", "=", "IST0102=", "IST0102=Service"])
def test_what_is_no_suppression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write CODE or"):
        suppression(text)


def test_what_compile_says_of_the_loser_analyzers_say_of_all() -> None:
    for code, kind, path, told in (
        ("IST0109", "VirtualService", "spec.hosts", True),
        ("IST0111", "Sidecar", "spec", True),
        ("IST0101", "VirtualService", "spec.http[0].route[0].destination", True),
        ("IST0101", "VirtualService", "spec.http[0].delegate", False),
        ("IST0101", "Gateway", "spec.selector", True),
        ("IST0101", "HTTPRoute", "spec.parentRefs[0]", False),
        ("PLT0407", "Telemetry", "spec.tracing[0].providers[0].name", False),
    ):
        assert told_by_analyzers(Problem(code, "error", kind, "shop", "a", path, "m")) == told, path
