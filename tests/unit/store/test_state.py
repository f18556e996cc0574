"""The pure rules of documents, and the state they live in."""

from __future__ import annotations

import pytest

from plait.resources import kinds
from plait.store import state
from plait.store.api import Document

NOW = "2026-01-01T00:00:00Z"
ADDRESS = ("apps", "deployments")


def deployment(**more: object) -> Document:
    meta = {"name": "web", "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 1}, **more}


def test_birth_drops_what_only_a_server_may_set() -> None:
    given = deployment(status={"replicas": 9})
    given["metadata"] |= {"uid": "mine", "generation": 7, "deletionTimestamp": NOW, "resourceVersion": "3"}
    born = state.born(kinds.DEPLOYMENT, given, uid="u", now=NOW)
    meta = {"name": "web", "namespace": "default", "uid": "u", "creationTimestamp": NOW, "generation": 1}
    assert born["metadata"] == meta
    assert "status" not in born


def test_generation_counts_changes_of_spec_only() -> None:
    old = state.born(kinds.DEPLOYMENT, deployment(), uid="u", now=NOW)
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    assert state.updated(kinds.DEPLOYMENT, old, labelled)["metadata"]["generation"] == 1
    scaled = state.updated(kinds.DEPLOYMENT, old, {**old, "spec": {"replicas": 2}})
    assert scaled["metadata"]["generation"] == 2


def test_status_and_spec_each_have_their_own_endpoint() -> None:
    old = {**state.born(kinds.DEPLOYMENT, deployment(), uid="u", now=NOW), "status": {"replicas": 1}}
    both = {**old, "spec": {"replicas": 5}, "status": {"replicas": 5}}
    main = state.updated(kinds.DEPLOYMENT, old, both)
    assert (main["spec"], main["status"]) == ({"replicas": 5}, {"replicas": 1})
    status = state.updated(kinds.DEPLOYMENT, old, both, "status")
    assert (status["spec"], status["status"]) == ({"replicas": 1}, {"replicas": 5})
    assert status["metadata"]["generation"] == 1


def test_a_write_that_differs_only_in_manager_times_is_the_same() -> None:
    one = deployment()
    one["metadata"]["managedFields"] = [{"manager": "m", "time": "1"}]
    two = deployment()
    two["metadata"] |= {"managedFields": [{"manager": "m", "time": "2"}], "resourceVersion": "8"}
    assert state.same(one, two)
    assert not state.same(one, {**two, "spec": {"replicas": 2}})


def test_finalizers_hold_a_deleted_object_until_they_are_gone() -> None:
    held = deployment()
    held["metadata"]["finalizers"] = ["x/y"]
    marked, gone = state.deletion(held, now=0.0, grace=None, propagation="Background")
    assert not gone
    assert marked["metadata"]["deletionTimestamp"] == "1970-01-01T00:00:00Z"
    del marked["metadata"]["finalizers"]
    assert state.finished(marked)


@pytest.mark.parametrize(("grace", "left"), [(None, 30), (5, 5)])
def test_a_running_pod_gets_its_grace_and_a_second_delete_can_only_shorten_it(grace: int | None, left: int) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30},
    }
    marked, gone = state.deletion(pod, now=0.0, grace=grace, propagation="")
    assert not gone
    assert marked["metadata"]["deletionGracePeriodSeconds"] == left
    again, gone = state.deletion(marked, now=0.0, grace=60, propagation="")
    assert (again["metadata"]["deletionGracePeriodSeconds"], gone) == (left, False)
    assert state.deletion(marked, now=0.0, grace=0, propagation="")[1]


def test_foreground_deletion_waits_behind_its_finalizer() -> None:
    marked, gone = state.deletion(deployment(), now=0.0, grace=None, propagation="Foreground")
    assert (marked["metadata"]["finalizers"], gone) == (["foregroundDeletion"], False)


def test_revisions_are_global_and_strictly_increasing() -> None:
    heart = state.State()
    first = heart.put(ADDRESS, deployment())
    heart.apply(first)
    assert first.record.document["metadata"]["resourceVersion"] == "1"
    with pytest.raises(ValueError, match="not after"):
        heart.apply(first)
    removed = heart.remove(ADDRESS, ("default", "web"))
    heart.apply(removed)
    assert (removed.type, removed.revision) == ("DELETED", 2)
    assert heart.list(ADDRESS) == []
