"""What the pipeline makes of objects that come, break, mend and go."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kit import documents as d
from plait.app.pipeline import Pipeline
from plait.app.readable import Readable
from plait.model.mesh import Settings
from plait.model.policies import Group, Policy
from plait.resources import kinds

GOOD = d.allow("p", [{"to": [{"operation": {"ports": ["80"]}}]}])
BROKEN = d.allow("p", [{"to": [{"operation": {"colours": ["red"]}}]}])
KEY = "shop/p"


def told(*steps: dict[str, Any] | None) -> list[tuple[Policy | None, list[str]]]:
    """After each state of the policy (None: deleted): what is in effect, and the codes of what is wrong."""
    seen = []

    async def run() -> None:
        pipeline = Pipeline(Settings())
        pipeline.open()
        before: dict[str, Any] | None = None
        for step in steps:
            pipeline.changed(kinds.AUTHORIZATION_POLICY, before, step)
            await asyncio.sleep(0.02)
            seen.append((pipeline.mesh.policies.get(KEY), [p.code for p in pipeline.problems]))
            before = step

    asyncio.run(run())
    return seen


def test_a_policy_that_becomes_unreadable_stays_as_it_was_until_it_is_mended_or_deleted() -> None:
    (first, none), (second, said), (third, still), (gone, quiet) = told(GOOD, BROKEN, BROKEN, None)
    assert first is not None and none == []
    assert second == first and "PLT0013" in said
    assert third == first and still == said
    assert (gone, quiet) == (None, [])


def test_a_policy_that_never_was_readable_denies_and_is_forgotten_once_it_reads() -> None:
    (closed, said), (still, _), (mended, quiet), (kept, _) = told(BROKEN, {**BROKEN}, GOOD, BROKEN)
    assert closed is not None and (closed.action, closed.groups) == ("deny", (Group(()),))
    assert "PLT0013" in said
    assert still == closed
    assert mended is not None and (mended.action, quiet) == ("allow", [])
    assert kept == mended


def test_a_deleted_policy_leaves_nothing_to_keep() -> None:
    (_, _), (_, _), (closed, _) = told(GOOD, None, BROKEN)
    assert closed is not None and closed.action == "deny"


def started(folder: Path, document: dict[str, Any] | None) -> tuple[Policy | None, list[str]]:
    """A control plane starts, finds this policy, and ends."""

    async def run() -> tuple[Policy | None, list[str]]:
        pipeline = Pipeline(Settings(), readable=Readable(folder))
        if document is not None:
            pipeline.changed(kinds.AUTHORIZATION_POLICY, None, document)
        pipeline.open()
        return pipeline.mesh.policies.get(KEY), [p.code for p in pipeline.problems]

    return asyncio.run(run())


def test_a_restarted_control_plane_knows_how_an_unreadable_policy_last_was(tmp_path: Path) -> None:
    first, _ = started(tmp_path, GOOD)
    second, said = started(tmp_path, BROKEN)
    assert first is not None and (second, "PLT0013" in said) == (first, True)
    assert started(tmp_path, BROKEN)[0] == first  # and so does the one after it


def refuses(policy: Policy | None) -> bool:
    return policy is not None and (policy.action, policy.groups) == ("deny", (Group(()),))


def test_another_object_of_that_name_and_one_deleted_meanwhile_are_not_taken_for_it(tmp_path: Path) -> None:
    def with_uid(document: dict[str, Any], uid: str) -> dict[str, Any]:
        return {**document, "metadata": {**document["metadata"], "uid": uid}}

    started(tmp_path, with_uid(GOOD, "1"))
    assert refuses(started(tmp_path, with_uid(BROKEN, "2"))[0])
    started(tmp_path, with_uid(GOOD, "1"))
    started(tmp_path, None)
    assert refuses(started(tmp_path, with_uid(BROKEN, "1"))[0])


def test_a_damaged_file_refuses_as_if_there_were_none(tmp_path: Path) -> None:
    started(tmp_path, GOOD)
    (file,) = (each for each in tmp_path.rglob("*") if each.is_file())
    file.write_text("{")
    assert refuses(started(tmp_path, BROKEN)[0])


def test_a_mesh_configuration_that_cannot_be_read_does_not_take_the_last_ones_place() -> None:
    seen = []

    async def run() -> None:
        pipeline = Pipeline(Settings())
        pipeline.open()
        before: dict[str, Any] | None = None
        for text in ("accessLogFile: /a", "accessLogFile: [", "7", "accessLogFile: /b", None):
            data = {"mesh": text}
            document = None if text is None else d.document("v1", "ConfigMap", "istio", "istio-system", data=data)
            pipeline.changed(kinds.CONFIG_MAP, before, document)
            await asyncio.sleep(0.02)
            codes = [p.code for p in pipeline.problems if p.kind == "ConfigMap"]
            seen.append((pipeline.mesh.l7.settings.access_log_file, codes))
            before = document

    asyncio.run(run())
    assert seen == [("/a", []), ("/a", ["PLT0013"]), ("/a", ["PLT0013"]), ("/b", []), ("", [])]


def test_a_mesh_configuration_that_never_could_be_read_is_not_said_to_stay_in_effect() -> None:
    texts, seen = ("accessLogFile: [", "accessLogFile: {", "accessLogFile: /a", "accessLogFile: ["), []

    async def run() -> None:
        pipeline = Pipeline(Settings())
        pipeline.open()
        for text in texts:
            document = d.document("v1", "ConfigMap", "istio", "istio-system", data={"mesh": text})
            pipeline.changed(kinds.CONFIG_MAP, None, document)
            await asyncio.sleep(0.02)
            stays = any("last readable state" in p.message for p in pipeline.problems)
            seen.append((pipeline.mesh.l7.settings.access_log_file, stays))

    asyncio.run(run())
    assert seen == [("", False), ("", False), ("/a", False), ("/a", True)]
