"""What a command line names: objects as `KIND NAME…`, `KIND,KIND` or `KIND/NAME…`, pods by what has them."""

from __future__ import annotations

import click

from plait.cli import connect
from plait.cli.kinds import meant
from plait.resources.kinds import POD, SERVICE, Kind
from plait.store.api import ApiError, Document
from plait.store.client import HttpApi
from plait.store.selectors import selector_text

_ALL = ("pods", "services", "daemonsets", "deployments", "replicasets", "jobs")
"""What `all` means, as with kubectl: what runs."""


def objects(first: str, names: list[str]) -> list[tuple[Kind, str]]:
    """Kind and name of each; the name is "" where all of a kind are meant."""
    words = [first, *names]
    if any("/" in word for word in words):
        if not all(word.count("/") == 1 and not word.startswith("/") for word in words):
            raise click.UsageError(f"{' '.join(words)}: write KIND NAME… or KIND/NAME…, not both")
        return [(meant(kind), name) for kind, _, name in (word.partition("/") for word in words)]
    kinds = [meant(word) for word in (_ALL if first == "all" else first.split(","))]
    return [(kind, name) for kind in kinds for name in names or [""]]


async def pods(api: HttpApi, namespace: str, word: str = "", labels: str = "") -> list[str]:
    """The pods that `NAME`, `KIND/NAME` or labels mean, those that run first; NoMesh where there is none."""
    kind, _, name = word.rpartition("/")
    if word and (not kind or meant(kind) == POD):
        return [name]
    try:
        wanted = labels or _selector(await api.get(owner := meant(kind), name, namespace), owner, word)
        found, _ = await api.list(POD, namespace, labels=wanted)
    except ApiError as error:
        raise connect.NoMesh(f"{error.message} in namespace {namespace}") from error
    if not found:
        raise connect.NoMesh(f"no pod in namespace {namespace} has the labels {wanted}")
    return [each["metadata"]["name"] for each in sorted(found, key=_running)]


def _selector(owner: Document, kind: Kind, word: str) -> str:
    selector = (owner.get("spec") or {}).get("selector")
    text = selector_text({"matchLabels": selector} if kind == SERVICE else selector)
    if not text:
        raise click.UsageError(f"{word} selects no pods; name a pod, or a deployment, a job or a service")
    return text


def _running(pod: Document) -> tuple[bool, str]:
    running = (pod.get("status") or {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    return not running, pod["metadata"]["name"]
