"""Objects are applied in order; what fails for a moment is tried again, what is wrong is told at once."""

from __future__ import annotations

from typing import Any

import pytest

from plait.store.api import ApiError
from plait.trial import scene as scenes
from plait.trial.scene import Scene, SceneError


def document(name: str, kind: str = "Service") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "ns"}}


class Server:
    """Fails with these codes first, one a call."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.applied = list(codes), list[str]()

    async def patch(self, kind: Any, name: str, body: Any, namespace: str, **how: Any) -> None:
        assert (how, namespace) == ({"type": "apply", "force": True}, "ns")
        if self.codes:
            raise ApiError(self.codes.pop(0), "Reason", "the webhook did not answer")
        self.applied.append(name)


def scene(server: Server) -> Scene:
    unused: Any = None
    api: Any = server
    return Scene(unused, unused, api)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(_: float) -> None:
        return None

    monkeypatch.setattr(scenes.asyncio, "sleep", sleep)


async def test_objects_are_applied_in_order_and_a_failure_of_the_server_is_tried_again() -> None:
    server = Server(500, 503)
    await scene(server).put([document("a"), document("b")])
    assert server.applied == ["a", "b"]


async def test_what_the_server_refuses_is_not_tried_again() -> None:
    server = Server(422)
    with pytest.raises(SceneError, match=r"Service a: .*did not answer"):
        await scene(server).put([document("a")])
    assert server.applied == []


async def test_patience_ends() -> None:
    with pytest.raises(SceneError, match="Service a"):
        await scene(Server(500, 500)).put([document("a")], patience=-1.0)


async def test_a_kind_that_nobody_knows_is_told() -> None:
    with pytest.raises(SceneError, match="no kind v1/Nonsense"):
        await scene(Server()).put([document("a", "Nonsense")])
