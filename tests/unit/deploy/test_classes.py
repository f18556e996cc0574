"""The classes that are always there are those that compile knows without an object."""

from __future__ import annotations

from plait.deploy.classes import built_in
from plait.model.compile.traffic.gateway_api import classes
from plait.resources.decode import decode
from plait.resources.gateway_api.gateway import GatewayClass


def test_each_built_in_class_runs_the_same_with_its_object_and_without() -> None:
    assert built_in().keys() == classes.BUILT_IN.keys()
    for name, document in built_in().items():
        typed, wrong = decode(document)
        assert isinstance(typed, GatewayClass), wrong
        assert classes.runs(name, {("", name): typed}) == classes.BUILT_IN[name]
