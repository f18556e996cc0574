"""When a node proxy is given its clusters: early in a small mesh, on demand in a large one, and across the border."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from kit.asking import ask, said
from kit.dataplane import DataPlane, running
from kit.netlab import echo
from plait.model.mesh import NetworkAddress

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    with running() as plane:
        for pod in ("b1", "b2"):
            plane.lab.serve(pod, 8080, echo)
        yield plane


def test_a_mesh_that_outgrows_early_clusters_and_shrinks_again_keeps_its_connections(plane: DataPlane) -> None:
    """Pushed early, then on demand, then early: the same connection lives, and new ones find their way each time."""
    lazy = plane.options["na"]
    early = dataclasses.replace(lazy, eager=500)
    new = f"10.{plane.lab.index}.128.77"  # nobody has asked for it yet
    (web,) = plane.mesh.services.values()
    plane.options["na"] = early
    plane.change(services=[replace(web, addresses=(NetworkAddress(new),))])
    with plane.lab.connect("a1", new, 80) as lived:
        assert said(lived)
        for options in (lazy, early, lazy):
            plane.options["na"] = options
            plane.push(only="na")
            plane.expect_settled()
            assert ask(plane, "a1", new, 80) == f"{plane.lab.address('a1')}\n".encode()
            lived.sendall(b"still here")
            assert said(lived) == b"still here"
