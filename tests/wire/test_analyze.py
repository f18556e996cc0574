"""`plait analyze` on the objects of an API server: what is said of files is said of a running mesh."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

from kit import apiserver
from kit.evidence import istio
from plait.resources import kinds


async def test_a_running_mesh_is_judged_by_its_objects() -> None:
    async with apiserver.running() as cluster:
        await cluster.http.create(kinds.NAMESPACE, {"metadata": {"name": "shop"}})
        rule = {"route": [{"destination": {"host": "nowhere"}}]}
        await cluster.http.create(kinds.VIRTUAL_SERVICE, istio("VirtualService", "web", hosts=["web"], http=[rule]))

        def run(*arguments: str) -> tuple[int, list[tuple[str, str]]]:
            command = [sys.executable, "-m", "plait", "analyze", "--kubeconfig", str(cluster.kubeconfig), "-o", "json"]
            done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=os.environ, timeout=60)
            assert not done.stderr, done.stderr
            return done.returncode, [(each["code"], each["name"]) for each in json.loads(done.stdout)]

        code, found = await asyncio.to_thread(run, "-A")
        assert code == 1
        assert ("IST0101", "web") in found and ("IST0102", "shop") in found
        rest = [each for each in found if each[1] not in ("web", "shop")]
        assert rest == [("IST0102", "default")], "what the server makes itself is right"
        assert await asyncio.to_thread(run) == (0, rest), "without -A it is about namespace default"
        assert await asyncio.to_thread(run, "-n", "shop", "--suppress", "IST01*") == (0, [])
