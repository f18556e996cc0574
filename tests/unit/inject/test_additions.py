"""Annotations that add to a sidecar: what they make, and what is refused."""

from __future__ import annotations

import pytest

from plait.inject import additions

PREFIX = "sidecar.istio.io/"
READINESS = f"readiness.status.{PREFIX}"


def test_nothing_said_adds_nothing() -> None:
    assert (additions.container({}), additions.volumes({}), additions.log_levels({})) == ({}, [], ("", ""))


def test_times_of_the_probe() -> None:
    notes = {f"{READINESS}initialDelaySeconds": "0", f"{READINESS}failureThreshold": "300"}
    assert additions.container(notes) == {"readinessProbe": {"initialDelaySeconds": 0, "failureThreshold": 300}}


def test_levels_of_the_log() -> None:
    notes = {f"{PREFIX}logLevel": "debug", f"{PREFIX}componentLogLevel": "rbac:trace,misc:off"}
    assert additions.log_levels(notes) == ("debug", "rbac:trace,misc:off")
    assert list(additions.wrong(notes)) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (f"{PREFIX}proxyMemory", "big", "128Mi"),
        (f"{READINESS}periodSeconds", "0", "from 1 on"),
        (f"{READINESS}initialDelaySeconds", "-1", "from 0 on"),
        (f"{PREFIX}logLevel", "verbose", "warning"),
        (f"{PREFIX}componentLogLevel", "rbac=debug", "rbac:debug"),
        (f"{PREFIX}userVolume", "keys", "emptyDir"),
        (f"{PREFIX}userVolume", '["keys"]', "emptyDir"),
        (f"{PREFIX}userVolumeMount", '{"keys": "/keys"}', "mapping"),
    ],
)
def test_wrong(name: str, value: str, words: str) -> None:
    ((where, message),) = additions.wrong({name: value})
    assert where == name and words in message
