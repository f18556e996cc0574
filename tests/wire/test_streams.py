"""Logs, exec and port-forward over every transport kubectl has spoken, against a fake kubelet."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from kit.streams import fake_kubelet, kubectls, tiny_server

every_kubectl = pytest.mark.parametrize(
    "kubectl", kubectls() or [pytest.param("", marks=pytest.mark.skip("no kubectl"))]
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    async with fake_kubelet(tmp_path / "k.sock") as socket, tiny_server(socket) as url:
        yield url


async def run(kubectl: str, server: str, home: Path, *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    env = {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "none")}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        kubectl, "--server", server, "-n", "default", *args, stdin=pipe, stdout=pipe, stderr=pipe, env=env
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 40)
    return process.returncode or 0, out, err


@pytest.mark.kubectl
@every_kubectl
async def test_exec_gives_output_errors_and_exit_code(kubectl: str, server: str, tmp_path: Path) -> None:
    script = "echo out; echo err >&2; exit 7"
    code, out, err = await run(kubectl, server, tmp_path, "exec", "web", "--", "sh", "-c", script)
    assert (code, out) == (7, b"out\n"), err
    assert b"err\n" in err
    assert b"exit code 7" in err


@pytest.mark.kubectl
@every_kubectl
async def test_exec_passes_input_and_its_end(kubectl: str, server: str, tmp_path: Path) -> None:
    data = b"line\n" * 20_000
    code, out, err = await run(kubectl, server, tmp_path, "exec", "-i", "web", "--", "cat", stdin=data)
    assert code == 0, err
    assert out == data


@pytest.mark.kubectl
@every_kubectl
async def test_logs_follow_to_the_end(kubectl: str, server: str, tmp_path: Path) -> None:
    code, out, err = await run(kubectl, server, tmp_path, "logs", "-f", "web")
    assert (code, out) == (0, b"first\nsecond\n"), err


@pytest.mark.kubectl
@every_kubectl
async def test_port_forward_carries_bytes_both_ways(kubectl: str, server: str, tmp_path: Path) -> None:
    env = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        kubectl, "--server", server, "-n", "default", "port-forward", "web", ":81", stdout=pipe, stderr=pipe, env=env
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        found = re.search(rb"127\.0\.0\.1:(\d+)", line)
        assert found, line
        for word in (b"one", b"two"):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(found[1]))
            writer.write(word)
            assert await asyncio.wait_for(reader.read(), 30) == b"81:" + word.upper()
            writer.close()
    finally:
        process.kill()
        await process.communicate()


async def test_an_unknown_pod_and_container_are_refused_with_a_status(server: str) -> None:
    base = server + "/api/v1/namespaces/default/pods/"
    async with aiohttp.ClientSession() as session:
        async with session.get(base + "nope/log") as answer:
            assert (answer.status, (await answer.json())["reason"]) == (404, "NotFound")
        async with session.get(base + "web/log?container=x") as answer:
            assert answer.status == 400
            assert "container x is not valid for pod web" in (await answer.json())["message"]
        async with session.get(base + "web/exec?command=ls&stdout=1") as answer:
            assert answer.status == 400


async def test_garbage_instead_of_spdy_ends_the_connection_only(server: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    path = "/api/v1/namespaces/default/pods/web/exec?command=cat&stdin=1&stdout=1"
    for _ in range(2):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        head += "X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        assert b"101" in await asyncio.wait_for(reader.readline(), 10)
        writer.write(b"\xff" * 64)
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
