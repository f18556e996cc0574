"""A Deployment is rolled when nothing of the old template is left; modes of pods are those that were measured."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plait.trial import rolling


def pod(name: str, *, ready: bool = True, going: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "labels": {"app": "web"}}
    if going:
        meta["deletionTimestamp"] = "2026-11-28T00:00:00Z"
    return {"metadata": meta, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


def scene(status: dict[str, int], pods: list[dict[str, Any]], generation: int = 2) -> Any:
    made = rolling.deployment("web", "ns", replicas=2)
    made["metadata"]["generation"] = generation
    made["status"] = status

    async def get(*_: object) -> dict[str, Any]:
        return made

    async def listed(*_: object, labels: str) -> tuple[list[dict[str, Any]], str]:
        assert labels == "app=web"
        return pods, "1"

    return SimpleNamespace(api=SimpleNamespace(get=get, list=listed))


DONE = {"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2}


async def test_it_is_rolled_when_all_pods_are_new_ready_and_alone() -> None:
    assert await rolling.rolled(scene(DONE, [pod("a"), pod("b")]), "web", "ns") == ""


@pytest.mark.parametrize(
    ("status", "pods", "words"),
    [
        ({**DONE, "observedGeneration": 1}, [pod("a"), pod("b")], "has not seen it yet"),
        ({**DONE, "updatedReplicas": 1}, [pod("a"), pod("b")], "1 of 2 pods are new"),
        (DONE, [pod("a"), pod("b"), pod("old", going=True)], "3 pods for 2, not ready or going: old"),
        (DONE, [pod("a"), pod("b", ready=False)], "not ready or going: b"),
    ],
)
async def test_it_is_not_before_and_says_why(status: dict[str, int], pods: list[dict[str, Any]], words: str) -> None:
    assert words in await rolling.rolled(scene(status, pods), "web", "ns")


async def test_the_mode_of_pods_is_what_node_and_injector_wrote_not_what_labels_ask_for() -> None:
    notes = {"captured": {"ambient.istio.io/redirection": "enabled"}, "injected": {"sidecar.istio.io/status": "{}"}}

    async def pods(*_: object) -> list[Any]:
        return [SimpleNamespace(name=name, annotations=each) for name, each in notes.items()]

    asked: Any = SimpleNamespace(pods=pods)
    assert await rolling.in_mode(asked, "web", "ns", "ambient") == "injected is in mode sidecar, not ambient"
    notes.pop("injected")
    assert await rolling.in_mode(asked, "web", "ns", "ambient") == ""
    notes["bare"] = {}
    assert await rolling.in_mode(asked, "web", "ns", "ambient") == "bare is in mode none, not ambient"


def test_an_application_goes_on_serving_while_callers_hear_that_its_pod_goes() -> None:
    made = rolling.deployment("web", "ns", ports=(8080, 8090))
    containers = made["spec"]["template"]["spec"]["containers"]
    assert [each["env"][0]["value"] for each in containers] == ["8080", "8090"]
    assert all(
        each["lifecycle"]["preStop"]["exec"]["command"] == ["/bin/sleep", str(rolling.LINGER)] for each in containers
    )


async def test_the_application_serves_on_when_told_to_end_until_its_clients_have_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    echo = Path(__file__).parents[3] / "samples" / "apps" / "echo.py"
    environment = {"PORT": str(port), "DRAIN": "20"}
    running = await asyncio.create_subprocess_exec(sys.executable, str(echo), env=environment)
    try:
        reader, writer = await opened(port)
        assert b"connection: close" not in await asked(reader, writer)
        running.terminate()
        async with asyncio.timeout(10):
            while b"connection: close" not in await asked(reader, writer):
                await asyncio.sleep(0.05)
            assert await running.wait() == 0
        writer.close()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(20):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The head of an answer."""
    writer.write(b"GET / HTTP/1.1\r\nhost: echo\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(1024)
    return head
