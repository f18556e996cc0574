"""Size and mirror gates that no linter has: file length, and that every unit test file mirrors a source file."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 500


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


if __name__ == "__main__":
    problems = too_long() + without_source()
    print("\n".join(problems), file=sys.stderr)
    sys.exit(bool(problems))
