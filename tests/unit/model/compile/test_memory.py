from __future__ import annotations

from collections.abc import Mapping

from plait.base.revision import Revision
from plait.model.compile.memory import Ask, Memory
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


def test_each_is_made_anew_for_what_changed_alone_and_for_all_in_another_context() -> None:
    runs: list[str] = []
    one, two, other = object(), object(), object()

    def once(before: Mesh | None, sources: dict[str, object], context: str = "same") -> tuple[Mesh, dict[str, str]]:
        memory = Memory.of(before)
        found = memory.each("things", sources, lambda name, source: runs.append(name) or f"{name}!", context)
        memory.keep(mesh := Mesh())
        return mesh, found

    mesh, found = once(None, {"a": one, "b": two})
    assert found == {"a": "a!", "b": "b!"} and runs == ["a", "b"]
    mesh, found = once(mesh, {"a": one, "b": other, "c": two})
    assert found == {"a": "a!", "b": "b!", "c": "c!"} and runs == ["a", "b", "b", "c"]
    mesh, found = once(mesh, {"c": two})
    assert found == {"c": "c!"} and runs == ["a", "b", "b", "c"]
    once(mesh, {"c": two}, "another")
    assert runs == ["a", "b", "b", "c", "c"]


def test_what_is_gathered_is_looked_for_where_something_changed_and_is_the_same_while_it_is_equal() -> None:
    looked: list[str] = []

    def words(name: str, text: str) -> list[tuple[str, list[str]]]:
        looked.append(name)
        return [(word, [word]) for word in text.split()]

    def once(before: Mesh | None, *parts: dict[str, str]) -> tuple[Mesh, Mapping[str, list[str]]]:
        memory = Memory.of(before)
        found = memory.gathered("words", *((part, words) for part in parts))
        memory.keep(mesh := Mesh())
        return mesh, found

    numbers = {"n": "two one"}
    mesh, first = once(None, {"a": "x z", "b": "y"}, numbers)
    assert [*first] == ["one", "two", "x", "y", "z"] and looked == ["a", "b", "n"]
    mesh, same = once(mesh, {"a": "x z", "b": "y"}, numbers)
    assert same is first
    looked.clear()
    mesh, found = once(mesh, {"a": "x w", "b": "y"}, numbers)
    assert [*found] == ["one", "two", "w", "x", "y"] and looked == ["a", "a"]
    assert found["x"] is first["x"]
    mesh, found = once(mesh, {"b": "y"}, {})
    assert found == {"y": ["y"]}


def test_a_part_that_two_ask_for_in_one_compile_is_made_once() -> None:
    memory = Memory.of(None)
    source = object()
    assert memory.made("part", source, list) is memory.made("part", source, list)


def test_what_asks_is_made_anew_when_an_answer_is_another_and_not_when_something_else_is() -> None:
    runs: list[str] = []
    spouse = {"a": "x", "b": "y", "c": "x"}

    def once(before: Mesh | None, names: dict[str, str], table: dict[str, str]) -> tuple[Mesh, Mapping[str, str]]:
        memory = Memory.of(before)

        def make(name: str, asked: str, ask: Ask) -> str:
            runs.append(name)
            return f"{name} {ask('table', asked)}"

        found = memory.asking("things", names, make, {"table": table})
        memory.keep(mesh := Mesh())
        return mesh, found

    mesh, found = once(None, spouse, {"x": "1"})
    assert found == {"a": "a 1", "b": "b None", "c": "c 1"} and runs == ["a", "b", "c"]
    mesh, found = once(mesh, spouse, {"x": "2", "z": "3"})
    assert found == {"a": "a 2", "b": "b None", "c": "c 2"} and runs[3:] == ["a", "c"]
    mesh, found = once(mesh, spouse, {"x": "2", "y": "4"})
    assert found["b"] == "b 4" and runs[5:] == ["b"], "what was missed is there now"
    mesh, found = once(mesh, {"a": "y", "b": "y"}, {"x": "5", "y": "4"})
    assert found == {"a": "a 4", "b": "b 4"} and runs[6:] == ["a"], "it no longer asks for x, and c is gone"
    mesh, found = once(mesh, {"a": "y", "b": "y"}, {})
    assert found == {"a": "a None", "b": "b None"} and sorted(runs[7:]) == ["a", "b"]


def test_groups_follow_what_changes() -> None:
    def once(before: Mesh | None, sources: dict[str, str]) -> tuple[Mesh, Mapping[str, tuple[str, ...]]]:
        memory = Memory.of(before)
        found = memory.grouped("words", sources, lambda text: set(text), len)
        memory.keep(mesh := Mesh())
        return mesh, found

    mesh, first = once(None, {"1": "abc", "2": "a"})
    assert first == {"a": ("a", "abc"), "b": ("abc",), "c": ("abc",)}
    mesh, found = once(mesh, {"1": "ab", "2": "a"})
    assert found == {"a": ("a", "ab"), "b": ("ab",)}


def test_what_is_among_others_is_chosen_anew_only_where_they_moved() -> None:
    asked: list[str] = []

    def keep(name: str) -> bool:
        asked.append(name)
        return name != "b"

    first = Revision({"a": 1, "b": 2})
    memory = Memory({})
    found = memory.among("x", first, keep, "context")
    assert (found, asked) == ({"a": 1}, ["a", "b"])
    again = Memory(memory._now)
    assert again.among("x", first.revised({"b": 3, "c": 4}), keep, "context") == {"a": 1, "c": 4}
    assert asked == ["a", "b", "b", "c"]
    assert Memory(memory._now).among("x", first.revised({"b": 3}), keep, "context") is found
    assert Memory(memory._now).among("x", first, lambda _: True, "another") == {"a": 1, "b": 2}
