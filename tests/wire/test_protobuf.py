"""Protobuf bodies as kubectl 1.32 and later really send them: decoded to the JSON the same command would have sent."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kit.streams import kubectls
from plait.store.protobuf import decode

SENDERS = [each for each in kubectls() if each.endswith((".1.32", ".1.33"))]
COMMANDS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "configmap": (["configmap", "c", "--from-literal=a=1"], {"data": {"a": "1"}}),
    "secret": (["secret", "generic", "s", "--from-literal=a=1"], {"data": {"a": "MQ=="}}),
    "service": (
        ["service", "clusterip", "s", "--tcp=80:8080"],
        {
            "spec": {
                "ports": [{"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080}],
                "selector": {"app": "s"},
                "type": "ClusterIP",
            }
        },
    ),
}


@pytest.mark.kubectl
@pytest.mark.parametrize("kubectl", SENDERS or [pytest.param("", marks=pytest.mark.skip("no kubectl 1.32+"))])
@pytest.mark.parametrize("what", sorted([*COMMANDS, "deployment"]))
async def test_bodies_of_kubectl_create_are_decoded(kubectl: str, what: str, tmp_path: Path) -> None:
    got: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        if request.method == "POST":
            got.put_nowait((request.content_type, await request.read()))
        return web.json_response({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    command = COMMANDS[what][0] if what in COMMANDS else ["deployment", "d", "--image=i", "--replicas=0"]
    env = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        process = await asyncio.create_subprocess_exec(
            kubectl, "--server", url, "-n", "default", "create", "--validate=false", *command,
            stderr=asyncio.subprocess.PIPE, env=env,
        )  # fmt: skip
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert not got.empty(), err
        media, body = got.get_nowait()
    finally:
        await runner.cleanup()
    assert media == "application/vnd.kubernetes.protobuf"
    document = decode(body)
    if what == "deployment":
        assert document["spec"]["replicas"] == 0, "a pointer's zero is a value"
        assert document["spec"]["template"]["spec"]["containers"] == [{"name": "i", "image": "i"}]
        assert "status" not in document
    else:
        assert {key: document[key] for key in COMMANDS[what][1]} == COMMANDS[what][1]
    assert "creationTimestamp" not in document["metadata"]


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00", b"k8s\x00\x0a\xff", b"k8s\x00\x0f"])
def test_a_broken_body_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode(body)
