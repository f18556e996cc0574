"""Day-2 tasks: both ways of each are there, and a lone failure counts in no comparison."""

from __future__ import annotations

import yaml

from plait.resources import documents
from plait.trial.bench_fuse.day2 import Done, saving
from plait.trial.bench_fuse.tasks import APPS, TASKS, world


def test_every_task_has_both_ways_and_its_commands_are_shown_as_typed() -> None:
    for task in TASKS:
        assert set(task.ways) == {"sidecar", "ambient"}
        for commands in task.ways.values():
            assert commands and all(each.words.split()[0] in ("kubectl", "plait") for each in commands)


def test_enrolment_restarts_pods_with_sidecars_only() -> None:
    enrol = TASKS[0].ways
    assert any("rollout restart" in each.words for each in enrol["sidecar"])
    assert not any("restart" in each.words for each in enrol["ambient"])


def test_the_namespace_begins_outside_the_mesh_and_the_same_in_both_ways() -> None:
    for way in ("sidecar", "ambient"):
        text = yaml.safe_dump_all(world(way))  # type: ignore[arg-type]
        read, problems = documents.read(text, way)
        assert not problems
        found = {(each.document["kind"], each.document["metadata"]["name"]): each.document for each in read}
        assert "labels" not in found["Namespace", "day2"]["metadata"]
        assert {name for kind, name in found if kind == "Deployment"} == set(APPS)
        assert {name for kind, name in found if kind == "Pod"} == {"client", "outsider"}


def test_only_tasks_that_both_ways_ended_are_compared() -> None:
    done = [
        Done("a", "sidecar", ("x",), 3, 0, 0, 1, 1.0),
        Done("a", "ambient", ("x",), 0, 0, 0, 1, 1.0),
        Done("b", "sidecar", ("x",), 9, 0, 0, 1, 1.0, failed="no"),
        Done("b", "ambient", ("x",), 0, 0, 0, 1, 1.0),
    ]
    assert saving(done) == (0.75, 0.75)
    assert saving(done[2:]) == (0.0, 0.0)
