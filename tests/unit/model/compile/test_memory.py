from __future__ import annotations

from plait.model.compile.memory import Memory
from plait.model.mesh import Mesh
from plait.resources.problems import Problem

TOLD = Problem("IST0101", "error", "Service", "shop", "cart", "spec", "text")


def test_a_step_is_made_anew_when_any_input_is_another_object_and_tells_its_problems_each_time() -> None:
    runs: list[str] = []
    first, equal = ["input"], ["input"]

    def once(before: Mesh | None, *inputs: object) -> tuple[Mesh, list[Problem]]:
        memory, problems = Memory.of(before), list[Problem]()

        def make(inner: Memory, said: list[Problem]) -> str:
            runs.append("step")
            said.append(TOLD)
            return inner.made("part", first, lambda: runs.append("part") or "value")

        assert memory.step("step", problems, make, *inputs) == "value"
        memory.keep(mesh := Mesh())
        return mesh, problems

    mesh, problems = once(None, first)
    assert (runs, problems) == (["step", "part"], [TOLD])
    mesh, problems = once(mesh, first)
    assert (runs, problems) == (["step", "part"], [TOLD]), "remembered, and said again"
    mesh, _ = once(mesh, equal)
    assert runs == ["step", "part", "step"], "the parts of a step that is made anew are still remembered"
