"""The yardstick of `bench l4`: two static Envoys, a `tcp_proxy` each, with mutual TLS between them.

What any proxy pair costs on this path: no tunnel, no policy, no telemetry, no control plane. They run inside the
client's and the server's pod of the pair that is outside the mesh; the client dials 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plait.base import aio
from plait.envoy.pieces import any_of, extension, socket_address
from plait.proxy.processes import envoy_binary
from plait.trial import child
from plait.trial.scene import Pod, Scene, finished

_OFFSET: Final = 10000  # the server's proxy listens that far above the application's port
_NAME: Final = "bench.example.com"


@asynccontextmanager
async def running(scene: Scene, client: Pod, server: Pod, ports: tuple[int, ...]) -> AsyncIterator[None]:
    """Both proxies, listening; they end with the block. Gives the network namespaces they are in."""
    held = _certificates()
    there = [_listener("0.0.0.0", p + _OFFSET, ("127.0.0.1", p), held, server_side=True) for p in ports]
    here = [_listener("127.0.0.1", p, (server.address, p + _OFFSET), held, server_side=False) for p in ports]
    started = []
    try:
        for pod, parts in ((server, there), (client, here)):
            document = _document(parts)
            started.append(child.start(partial(_serve, document), pod.netns, scene.holder))
            await asyncio.get_running_loop().run_in_executor(None, started[-1].wait_started)
        yield
    finally:
        for each in started:
            os.kill(each.pid, 15)
            await finished(each)


async def _serve(document: str, stop: asyncio.Event) -> None:
    with tempfile.TemporaryDirectory(prefix="plait-tls-") as held:
        path = Path(held) / "envoy.json"
        path.write_text(document)
        base = str(os.getpid() % 4_000_000)
        flags = ["-c", str(path), "--concurrency", "1", "--base-id", base, "-l", "error", "--drain-time-s", "1"]
        process = await asyncio.create_subprocess_exec(str(envoy_binary()), *flags)
        try:
            port = json.loads(document)["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"]
            await _listening(port, process)
            child.started()
            await stop.wait()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(10):
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"the yardstick's Envoy ended with {process.returncode}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


def _document(parts: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    resources = {"listeners": [a for a, _ in parts], "clusters": [b for _, b in parts]}
    return json.dumps({"static_resources": resources})


def _listener(
    address: str, port: int, to: tuple[str, int], held: tuple[str, str, str], *, server_side: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One listener and its cluster; TLS is on the side that faces the other proxy."""
    root, certificate, key = held
    name = f"to-{to[1]}"
    side = "Downstream" if server_side else "Upstream"
    tls = extension(
        "envoy.transport_sockets.tls",
        f"envoy.extensions.transport_sockets.tls.v3.{side}TlsContext",
        common_tls_context={
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [
                {"certificate_chain": {"inline_string": certificate}, "private_key": {"inline_string": key}}
            ],
            "validation_context": {"trusted_ca": {"inline_string": root}},
        },
        **({"require_client_certificate": True} if server_side else {"sni": _NAME}),
    )
    proxy = {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": any_of(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", stat_prefix=name, cluster=name
        ),
    }
    chain: dict[str, Any] = {"filters": [proxy], **({"transport_socket": tls} if server_side else {})}
    listener = {"name": f"from-{port}", "address": socket_address(address, port), "filter_chains": [chain]}
    endpoint = {"endpoint": {"address": socket_address(*to)}}
    cluster = {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        **({} if server_side else {"transport_socket": tls}),
    }
    return listener, cluster


def _certificates() -> tuple[str, str, str]:
    """Of one throw-away authority: its root, and the certificate and key that both sides hold (PEM)."""
    now = datetime.fromtimestamp(aio.now(), UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in ("bench root", _NAME)]

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, *, authority: bool) -> str:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(root_name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=12))
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    root = signed(root_name, root_key.public_key(), authority=True)
    return root, signed(name, key.public_key(), authority=False), private.decode()
