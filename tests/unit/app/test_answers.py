"""On-demand answers are made once, and again exactly when what is behind the name has changed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from plait.app.answers import Answers
from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node
from plait.model.mesh import Mesh, NetworkAddress, Port, Service, Settings, Workload
from plait.model.views.node import NodeState, NodeView, project

SERVICE = names.on_demand("10.2.0.1", 80)
POD = names.on_demand("10.1.0.1", 8080)
WORKLOAD = Workload("Kubernetes//Pod/ns/a", "a", "ns", ("10.1.0.1",), tunnel="hbone", service_account="a")


def view(*workloads: Workload, before: NodeView | None = None) -> NodeView:
    service = Service("s", "ns", "s.ns.svc.cluster.local", (NetworkAddress("10.2.0.1"),), (Port(80),))
    mesh = Mesh(Settings(ranges=("10.0.0.0/8",)), {w.uid: w for w in workloads}, {service.key: service}, {})
    return project(mesh, NodeState("n"), before)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were translated, in order."""
    names_made: list[str] = []
    real = node.destination_resource

    def counted(view: NodeView, name: str, options: Options) -> object:
        names_made.append(name)
        return real(view, name, options)

    monkeypatch.setattr(node, "destination_resource", counted)
    return names_made


def test_a_name_is_translated_once_however_often_it_is_looked_up(made: list[str]) -> None:
    answers, world = Answers(Options()), view(WORKLOAD)
    assert answers.of(world, SERVICE) is answers.of(world, SERVICE)
    assert answers.of(world, SERVICE).name == SERVICE and made == [SERVICE]


def test_a_change_elsewhere_makes_no_answer_anew(made: list[str]) -> None:
    answers, world = Answers(Options()), view()
    first = answers.of(world, SERVICE)
    assert answers.of(view(WORKLOAD, before=world), SERVICE) is first and made == [SERVICE]


def test_a_change_behind_the_name_changes_the_answer() -> None:
    answers, world = Answers(Options()), view(WORKLOAD)
    first = answers.of(world, POD)
    other = view(replace(WORKLOAD, service_account="b"), before=world)
    second = answers.of(other, POD)
    assert second.version != first.version and b"/sa/b" in second.value
    assert second == node.destination_resource(other, POD, Options())
    assert answers.of(view(before=other), POD) == node.destination_resource(view(), POD, Options())


@pytest.mark.parametrize("name", ["out|nonsense", "out|10.99.0.1:1"])
def test_what_nobody_knows_is_answered_too(name: str) -> None:
    assert Answers(Options()).of(view(), name) == node.destination_resource(view(), name, Options())
