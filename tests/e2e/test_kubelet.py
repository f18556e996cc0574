"""Pods as real processes in real namespaces: as root, and without root in a user namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e
_HERE = Path(__file__).parent
_ROOTLESS = ["unshare", "-Urnm", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh"]


def _user_namespaces() -> bool:
    return subprocess.run(["unshare", "-Urnm", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module", params=["root", "user namespace"])
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    if request.param != "root" and not _user_namespaces():
        pytest.skip("this kernel allows no user namespaces")
    command = [sys.executable, str(_HERE / "kubelet_scenario.py")]
    paths = os.pathsep.join([str(_HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command if request.param == "root" else [*_ROOTLESS, *command],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_pod_gets_an_address_its_config_and_becomes_ready_by_its_probe(found: dict[str, Any]) -> None:
    assert found["ip"] == "10.119.1.2"
    assert f"ip {found['ip']} v" in found["web log"]
    assert found["init log"] == "from init\n"


def test_a_container_has_its_own_hostname_and_writes_nothing_on_the_host(found: dict[str, Any]) -> None:
    assert found["bad log"] == "bad\nwrote\n"
    assert found["host marks"] == []


def test_exit_codes_reach_the_status(found: dict[str, Any]) -> None:
    assert found["bad code"] == 5


def test_what_is_missing_is_named_with_the_way_out(found: dict[str, Any]) -> None:
    assert 'configmap "nope" not found' in found["noconfig"]
    assert "images.yaml" in found["noimage"]


def test_exec_copies_input_and_gives_the_exit_code_with_and_without_a_terminal(found: dict[str, Any]) -> None:
    assert found["exec"] == ["hello", "0"]
    assert found["tty"][0].startswith("/dev/pts/")
    assert found["tty"][1] == "7"


def test_a_port_inside_the_pod_is_forwarded(found: dict[str, Any]) -> None:
    assert found["forwarded"] == "HTTP/1.0 200 OK"


def test_a_restarted_kubelet_adopts_the_running_process_and_deletion_leaves_nothing(found: dict[str, Any]) -> None:
    assert found["same process"] is True
    assert found["leftovers"] == []
