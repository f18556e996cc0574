"""`plait translate -f samples/wds --proxy wds`: what ztunnels are told, with every field that Plait ever fills.

After a wanted change: PLAIT_GOLDEN=write pytest tests/golden/test_translate_wds.py, then read the diff.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.cli import main
from plait.wds import messages as wire

FILE = Path(__file__).parent / "translate" / "wds-fields.json"
SAMPLES = Path(__file__).parents[2] / "samples" / "wds"
NEVER = {
    "Service.weighted_waypoints",
    "Service.extensions",
    "Workload.trust_domain",  # the mesh's own, which is left out when it is cluster.local
    "Workload.cluster_id",  # likewise Kubernetes
    "NetworkAddress.network",  # and of its network, when it has a name
    "Workload.network_gateway",
    "Workload.application_tunnel",
    "Workload.extensions",
    "Authorization.extensions",
    "Match.extensions",
}
"""Fields that no object of one cluster with the default settings fills."""


def translated(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main.main(["translate", f"--filename={SAMPLES}", "--proxy", "wds"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_samples_become_the_committed_document(capsys: pytest.CaptureFixture[str]) -> None:
    found = translated(capsys)
    if os.environ.get("PLAIT_GOLDEN") == "write":
        FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(FILE.read_text())


def test_every_field_of_addresses_and_authorizations_is_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    found = translated(capsys)
    seen = {each for address in found["addresses"] for each in filled(wire.Address.DESCRIPTOR, address)}
    seen |= {each for one in found["authorizations"] for each in filled(wire.Authorization.DESCRIPTOR, one)}
    wanted = set(fields(wire.Address.DESCRIPTOR)) | set(fields(wire.Authorization.DESCRIPTOR))
    assert wanted - seen == {each for each in wanted if each in NEVER or of_those(each)}
    assert not seen & NEVER


def of_those(field: str) -> bool:
    """Part of a message that only a field of NEVER holds."""
    return field.partition(".")[0] in ("WeightedWaypoint", "ApplicationTunnel", "Extension", "Any")


def fields(message: Any, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """`Message.field` of this message and of all it holds."""
    if message.full_name in known or message.full_name.startswith("google.protobuf"):
        return
    for field in message.fields:
        inner = value_of(field)
        yield f"{message.name}.{field.name}"
        if inner is not None:
            yield from fields(inner, known | {message.full_name})


def filled(message: Any, document: Any) -> Iterator[str]:
    """Those that a document has. An enum's zero and an empty text are as good as absent, and are left out of it."""
    for name, value in document.items():
        field = message.fields_by_name[name]
        inner = value_of(field)
        yield f"{message.name}.{name}"
        if inner is None or inner.full_name.startswith("google.protobuf"):
            continue
        several = value.values() if is_map(field) else value if isinstance(value, list) else [value]
        for each in several:
            yield from filled(inner, each)


def is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def value_of(field: Any) -> Any:
    """The message that a field, or each value of a map, is; None for others."""
    return field.message_type.fields_by_name["value"].message_type if is_map(field) else field.message_type
