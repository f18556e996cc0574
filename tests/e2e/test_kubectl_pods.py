"""Unmodified kubectl against running pods: exec, logs -f, port-forward; and the host reaches LoadBalancer addresses."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import kubectl
from kit.mesh import PAIR, Mesh, mesh, until
from plait.resources import kinds

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="without root the host has no link into the fabric"),
]


@pytest.fixture(scope="module")
def mine() -> Iterator[Mesh]:
    with mesh(f"pods{os.getpid()}") as running:
        running.up()
        running.apply(PAIR)
        running.ready("duo", "client", "echo")
        yield running


@pytest.fixture(params=kubectl.parameters(ends=True))
def run(request: pytest.FixtureRequest, mine: Mesh, tmp_path: Path) -> list[str]:
    """A kubectl with its kubeconfig."""
    return [str(request.param), "--kubeconfig", str(mine.layout.kubeconfig), "--cache-dir", str(tmp_path)]


def test_exec_passes_input_output_and_the_exit_code(run: list[str]) -> None:
    words = [*run, "exec", "-i", "-n", "duo", "client", "--", "sh", "-c", "hostname; cat; echo bad >&2; exit 7"]
    done = subprocess.run(words, input="from stdin\n", capture_output=True, text=True, timeout=30)
    assert done.returncode == 7, done.stderr
    assert done.stdout == "client\nfrom stdin\n"
    assert done.stderr.startswith("bad\n")


def test_logs_follow_what_a_container_writes(run: list[str], mine: Mesh) -> None:
    writer = f"writer-{Path(run[0]).name.replace('.', '-')}"
    mine.apply(
        f"""
apiVersion: v1
kind: Pod
metadata: {{name: {writer}, namespace: duo}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {{name: c, image: none, command: [sh, -c, "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.05; done"]}}
"""
    )
    mine.ready("duo", writer)
    following = subprocess.Popen([*run, "logs", "-f", "-n", "duo", writer], stdout=subprocess.PIPE, text=True)
    try:
        assert following.stdout is not None
        assert [following.stdout.readline() for _ in range(20)] == [f"line {n}\n" for n in range(1, 21)]
    finally:
        following.kill()
        following.communicate()


def test_port_forward_reaches_a_service(run: list[str]) -> None:
    words = [*run, "port-forward", "-n", "duo", "svc/echo", ":9000"]
    forwarding = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert forwarding.stdout is not None
        told = re.search(r"127\.0\.0\.1:(\d+)", forwarding.stdout.readline())
        assert told is not None
        for text in (b"one\n", b"two\n"):
            with socket.create_connection(("127.0.0.1", int(told.group(1))), 10) as connection:
                connection.settimeout(10)
                connection.sendall(text)
                assert connection.recv(64) == text
    finally:
        forwarding.kill()
        forwarding.communicate()


def test_host_reaches_a_load_balancer_address(mine: Mesh) -> None:
    mine.apply(
        """
apiVersion: v1
kind: Service
metadata: {name: echo-lb, namespace: duo}
spec: {type: LoadBalancer, selector: {app: echo}, ports: [{port: 7000, targetPort: 9000}]}
"""
    )

    def answered() -> bool:
        service = mine.get(kinds.SERVICE, "echo-lb", "duo")
        address = service["status"]["loadBalancer"]["ingress"][0]["ip"]
        with socket.create_connection((address, 7000), 2) as connection:
            connection.settimeout(2)
            connection.sendall(b"hello\n")
            return connection.recv(64) == b"hello\n"

    until(answered, "the LoadBalancer address answers")
