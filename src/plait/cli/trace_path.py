"""`plait trace-path CLIENT SERVER`: one live connection, walked step by step with the kernel's and Envoy's counters.

The connection is made from inside the client pod; counters are read before and after it. Other traffic of the same
moment counts too, so a quiet mesh gives the clearest picture. What it prints was measured; it changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.base import netns
from plait.cli.connect import connected
from plait.local.layout import Layout
from plait.local.podnet import short
from plait.local.record import load
from plait.node.classic import plan
from plait.resources import kinds

app = typer.Typer(add_completion=False)
Step = dict[str, str]


@app.command("trace-path")
def trace_path(
    client: Annotated[str, typer.Argument(help="The client pod: namespace/name or app=LABEL.")],
    server: Annotated[str, typer.Argument(help="The server pod: namespace/name or app=LABEL.")],
    port: Annotated[int, typer.Option(help="Port; 0 takes the server's first declared one, else 80.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    output: Annotated[str, typer.Option("-o", "--output", help="json, or empty for people.")] = "",
) -> int:
    """Make one connection and show at each step what the kernel and the proxies counted."""
    layout = Layout.of(name)
    if load(layout) is None:
        print(f"plait trace-path: no mesh {name!r}: start one with plait up", file=sys.stderr)
        return 1
    try:
        steps, answered = asyncio.run(_trace(layout, client, server, port))
    except (LookupError, OSError) as error:
        print(f"plait trace-path: {error}", file=sys.stderr)
        return 1
    if output == "json":
        print(json.dumps({"answered": answered, "steps": steps}, indent=1))
    else:
        for number, step in enumerate(steps, start=1):
            print(f"{number:2}  {step['step']}  [{step['where']}]")
            for line in step["evidence"].splitlines():
                print(f"      {line}")
        print("the connection was " + ("established" if answered else "NOT established"))
    return 0 if answered else 1


async def _trace(layout: Layout, client: str, server: str, port: int) -> tuple[list[Step], bool]:
    async with connected(layout) as scene:
        pods, _ = await scene.api.list(kinds.POD)
    source, target = _find(pods, client), _find(pods, server)
    declared = [p["containerPort"] for c in target["spec"]["containers"] for p in c.get("ports") or ()]
    port = port or (declared[0] if declared else 80)
    spaces = _spaces(layout, source, target)
    before = {label: _counted(path) for label, path in spaces.items()}
    answered = await asyncio.to_thread(netns.call, spaces["client pod"], _dial, target["status"]["podIP"], port)
    after = {label: _counted(path) for label, path in spaces.items()}
    classic = "client proxy" in spaces
    steps = _members(spaces, source, target) if classic else []
    for label in spaces:
        moved = [
            f"{rule}   {before[label].get(rule, 0)} -> {count}"
            for rule, count in after[label].items()
            if count > before[label].get(rule, 0)
        ]
        if moved:
            steps.append({"step": "rules that matched", "where": label, "evidence": "\n".join(moved)})
        steps += _routes(label, spaces[label], source, target) if classic and "node" in label else []
    if classic:
        steps += [_link(label, spaces[label]) for label in ("client node", "server node")]
    for side, pod in (("client", source), ("server", target)):
        steps.append(_proxy(layout, side, pod["spec"]["nodeName"]))
    return steps, answered


def _find(pods: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    space, _, name = wanted.partition("/")
    for pod in pods:
        meta = pod["metadata"]
        labelled = wanted.startswith("app=") and (meta.get("labels") or {}).get("app") == wanted[4:]
        if (labelled or (meta["namespace"], meta["name"]) == (space, name)) and pod.get("status", {}).get("podIP"):
            return pod
    raise LookupError(f"no running pod {wanted!r}: say namespace/name or app=LABEL; see plait get pods -A")


def _spaces(layout: Layout, source: dict[str, Any], target: dict[str, Any]) -> dict[str, Path]:
    """The namespaces the connection passes, in its order."""
    near, far = source["spec"]["nodeName"], target["spec"]["nodeName"]
    found = {
        "client pod": layout.netns(f"p-{short(source['metadata']['uid'])}"),
        "client node": layout.netns(near),
        "client proxy": layout.netns(f"{near}-zt"),
        "server node": layout.netns(far),
        "server proxy": layout.netns(f"{far}-zt"),
        "server pod": layout.netns(f"p-{short(target['metadata']['uid'])}"),
    }
    return {label: path for label, path in found.items() if netns.exists(path)}


def _dial(address: str, port: int) -> bool:
    with socket.socket() as made:
        made.settimeout(3)
        try:
            made.connect((address, port))
            made.sendall(b"\r\n")
            made.settimeout(0.5)
            made.recv(1)
        except TimeoutError:
            return bool(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1)
        except OSError:
            return False
        return True


def _run(path: Path, *words: str) -> str:
    done = subprocess.run(["nsenter", f"--net={path}", *words], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


def _counted(path: Path) -> dict[str, int]:
    """Packets of every rule of ours: `table chain rule` -> count."""
    found: dict[str, int] = {}
    table = ""
    for line in _run(path, "iptables-save", "-c").splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("["):
            counters, _, rule = line[1:].partition("] -A ")
            if rule.startswith(("ztunnel-", "ISTIO_")):
                found[f"{table} {rule}"] = int(counters.partition(":")[0])
    return found


def _members(spaces: dict[str, Path], source: dict[str, Any], target: dict[str, Any]) -> list[Step]:
    found = []
    for label, pod in (("client node", source), ("server node", target)):
        said = _run(spaces[label], "ipset", "test", plan.SET, pod["status"]["podIP"])
        found.append({"step": f"address in ipset {plan.SET}", "where": label, "evidence": said})
    return found


def _routes(label: str, path: Path, source: dict[str, Any], target: dict[str, Any]) -> list[Step]:
    mark = ("mark", "0x100") if label == "client node" else ()
    words = ("ip", "route", "get", target["status"]["podIP"], *mark)
    return [{"step": " ".join(words), "where": label, "evidence": _run(path, *words)}]


def _link(label: str, path: Path) -> Step:
    name = (plan.OUTWARD if label == "client node" else plan.IN).node
    shown = _run(path, "ip", "-d", "-s", "link", "show", name)
    return {"step": f"tunnel device {name}", "where": label, "evidence": shown}


def _proxy(layout: Layout, side: str, node: str) -> Step:
    socket_file = layout.node(node) / "admin.sock"
    shown = subprocess.run(
        ["curl", "-s", "--unix-socket", str(socket_file), "http://envoy/stats?filter=^listener.*downstream_cx_total$"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = [line for line in shown.splitlines() if any(word in line for word in ("outbound", "hbone", "inbound"))]
    return {"step": "Envoy listeners", "where": f"{side}'s proxy, {node}", "evidence": "\n".join(lines) or "no answer"}
