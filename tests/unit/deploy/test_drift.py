"""Is what stands there still what was applied?"""

from __future__ import annotations

from plait.deploy.drift import holds

WANTED = {"spec": {"ports": [{"name": "a", "port": 1}], "type": "ClusterIP"}}


def test_defaults_and_foreign_additions_are_no_difference() -> None:
    ports = [{"name": "b", "port": 2}, {"name": "a", "port": 1, "targetPort": 1}]
    assert holds({"spec": {"ports": ports, "type": "ClusterIP", "clusterIP": "10.0.0.1"}, "status": {}}, WANTED)


def test_a_changed_or_missing_field_is() -> None:
    assert not holds({"spec": {"ports": [{"name": "a", "port": 9}], "type": "ClusterIP"}}, WANTED)
    assert not holds({"spec": {"ports": [], "type": "ClusterIP"}}, WANTED)
    assert not holds({"spec": {"ports": [{"name": "a", "port": 1}]}}, WANTED)
    assert not holds({"spec": None}, WANTED)


def test_items_of_another_name_do_not_stand_in() -> None:
    assert not holds([{"name": "b", "image": "x"}], [{"name": "a", "image": "x"}])
    assert holds(["x", "y"], ["y"])
