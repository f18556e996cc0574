"""A command's start: it waits for no module that it has no use for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plait.cli import main

KERNEL, CONTROL, AGENT = "pyroute2", "plait.app.control", "plait.app.companions"
"""A third of a second of every start, more than one, and half of one."""


@pytest.mark.parametrize(
    ("command", "useless"),
    [
        ("apply", KERNEL),
        ("get", KERNEL),
        ("delete", KERNEL),
        ("waypoint", KERNEL),
        ("status", CONTROL),
        ("proxy_status", AGENT),
        ("proxy_config", AGENT),
    ],
)
def test_a_command_does_not_wait_for_what_it_does_not_use(command: str, useless: str) -> None:
    script = f"import sys, plait.cli.{command}; print({useless!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get"], "Missing argument 'kind'"),
        (["up", "--nods", "3"], "--nods"),
        (["up", "extra"], "extra"),
        (["up", "--port", "99999"], "65535"),
        (["up", "--name", "../else"], "letters, digits and dashes"),
        (["down", "--name", ""], "letters, digits and dashes"),
        (["down", "--name", ".."], "letters, digits and dashes"),
        (["status", "--name", "/"], "letters, digits and dashes"),
        (["waypoint", "aply"], "aply"),
        (["demo", "--nodes", "1"], "2"),
        (["demo", "--samples", "/nowhere"], "/nowhere"),
        (["validate", "-f", "/nowhere.yaml"], "/nowhere.yaml: No such file or directory\n"),
        (["stauts"], "Did you mean 'status'?"),
    ],
)
def test_wrong_usage_is_said_in_a_line_and_ends_with_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["get", "--help"], ["get", "-h"], ["help", "get"]])
def test_help_of_a_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(arguments) == 0
    assert "plait get" in capsys.readouterr().out


def test_a_command_that_is_interrupted_ends_as_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("plait.cli.doctor.preflight.checks", interrupted)
    assert main.main(["doctor"]) == 130
