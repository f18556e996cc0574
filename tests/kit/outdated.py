"""A node agent (see `agents`) that ends without its Envoy; its successor would start Envoy with another bootstrap."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from kit.agents import PODS, Node, open_to, running
from plait.envoy import bootstrap


async def attached(node: Node) -> None:
    hook = node.agent.hook
    await asyncio.gather(*(hook.attached(node.pods[p], node.netns(p), (a,)) for p, a in PODS.items()))


async def scenario(directory: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    async with running(directory) as node:
        await attached(node)
        first = node.agent.supervisor.pid
        client, end, server = await asyncio.to_thread(open_to, node, 8090)
        for key in ("same", "changed"):
            await node.agent.close(stop_proxy=False)
            if key == "changed":
                bootstrap._RUNTIME["plait.test"] = True
            await node.start()
            await attached(node)
            async with asyncio.timeout(20):
                while key == "changed" and node.agent.supervisor.generation == 0:
                    await asyncio.sleep(0.02)
            seen[f"{key}: adopted"] = node.agent.supervisor.pid == first
        client.sendall(b"?")
        seen["connection lives"] = await asyncio.to_thread(end.recv, 1) == b"?"
        seen["old"] = [each.process.pid == first for each in node.agent.supervisor.retired.generations]
        for each in (client, end, server):
            each.close()
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(scenario(Path(sys.argv[1])))))
