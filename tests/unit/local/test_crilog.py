"""Container output in the CRI format, and reading it back as `kubectl logs` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.local import crilog, logfollow
from plait.local.logfollow import Options

SECOND = 1_000_000_000


async def text(file: Path, **options: object) -> bytes:
    return b"".join([part async for part in logfollow.read(file, Options(**options), lambda: True)])  # type: ignore[arg-type]


async def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    writer = crilog.Writer(str(tmp_path / "log"))
    writer.feed("stdout", b"one\ntw", SECOND)
    writer.feed("stdout", b"o\nrest", 2 * SECOND)
    writer.finish("stdout", 3 * SECOND)
    writer.close()
    file = tmp_path / "log"
    assert file.read_bytes().startswith(b"1970-01-01T00:00:01.000000000Z stdout F one\n")
    assert await text(file) == b"one\ntwo\nrest"
    assert await text(file, tail=1) == b"rest"
    assert await text(file, tail=2) == b"two\nrest"
    assert await text(file, tail=0) == b""
    assert await text(file, limit=5) == b"one\nt"
    assert await text(file, since=crilog.stamp(2 * SECOND)) == b"two\nrest"
    assert (await text(file, timestamps=True, tail=2)).startswith(b"1970-01-01T00:00:02.000000000Z two\n")


async def test_a_long_line_is_stored_in_parts_and_read_whole(tmp_path: Path) -> None:
    writer = crilog.Writer(str(tmp_path / "log"))
    writer.feed("stdout", b"x" * 40_000 + b"\n", SECOND)
    writer.close()
    assert (tmp_path / "log").read_bytes().count(b" P ") == 2
    assert await text(tmp_path / "log") == b"x" * 40_000 + b"\n"


async def test_rotation_loses_nothing_that_is_kept(tmp_path: Path) -> None:
    writer = crilog.Writer(str(tmp_path / "log"), limit=200)
    for number in range(8):
        writer.feed("stdout", b"line %d\n" % number, SECOND * number)
    writer.close()
    assert (tmp_path / "log.1").exists()
    got = (await text(tmp_path / "log")).split(b"\n")
    assert got[-2:] == [b"line 7", b""]
    assert got[:-1] == [b"line %d" % n for n in range(8 - len(got) + 1, 8)]


def test_a_wrong_log_option_is_named() -> None:
    for query, word in (({"tailLines": "-1"}, "tailLines"), ({"sinceTime": "noon"}, "sinceTime")):
        with pytest.raises(ValueError, match=word):
            Options.parse(query, 0.0)
