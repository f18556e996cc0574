"""A stand-in for a ztunnel binary: it speaks ZDS, WDS and the certificate protocol by field number, as a ztunnel does.

It binds 15001, 15006 and 15008 inside each pod it is given and forwards in PLAINTEXT what 15001 and 15006 hear: it
shows that the doors open, not that a stock ztunnel's own data plane works. What it learned is in ztunnel-seen.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kit.fieldwire import each, inner, read, text, write
from kit.wds_client import ADDRESS, AUTHORIZATION, METHOD, parse
from kit.zds_client import Client
from plait.base import netns

CREATE = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
_SO_ORIGINAL_DST, _MARK = 80, 0x539
E = os.environ


class Seen:
    """What the protocols said, kept for the test."""

    def __init__(self) -> None:
        self.workloads: dict[str, bytes] = {}
        self.services: dict[str, bytes] = {}
        self.identities: list[str] = []
        self.answered: set[str] = set()
        self.pods: list[str] = []

    def write(self) -> None:
        known = sorted([*self.workloads, *self.services])
        page = {"addresses": known, "identities": self.identities, "pods": self.pods, "types": sorted(self.answered)}
        page["pid"] = os.getpid()
        draft = Path("ztunnel-seen.new")
        draft.write_text(json.dumps(page))
        draft.rename("ztunnel-seen.json")

    def resolve(self, ip: str, port: int) -> tuple[str, int]:
        """A service's address becomes one of its workloads, as WDS says."""
        for key, service in self.services.items():
            fields = read(service)
            if socket.inet_aton(ip) not in [each(read(a), 2)[0] for a in each(fields, 4)]:
                continue
            for workload in self.workloads.values():
                found = read(workload)
                for entry in map(read, each(found, 22)):
                    ports = [read(p) for p in each(inner(entry, 2), 1)]
                    target = next((p[2][0] for p in ports if p[1] == [port]), None)
                    if text(entry, 1) == key and isinstance(target, int):
                        return socket.inet_ntoa(each(found, 3)[0]), target
        return ip, port


SEEN = Seen()


def bearer() -> tuple[tuple[str, str], ...]:
    token = Path("var/run/secrets/tokens/istio-token").read_text()
    return (("authorization", f"Bearer {token}"), ("clusterid", E["CLUSTER_ID"]))


def channel(address: str) -> grpc.aio.Channel:
    roots = Path(E["XDS_ROOT_CA"]).read_bytes()
    return grpc.aio.secure_channel(address.removeprefix("https://"), grpc.ssl_channel_credentials(roots))


async def discovery() -> None:
    name = f"{E['POD_NAME']}.{E['POD_NAMESPACE']}"
    ident = f"ztunnel~{E['INSTANCE_IP']}~{name}~{E['POD_NAMESPACE']}.svc.cluster.local"
    while True:
        try:
            async with channel(E["XDS_ADDRESS"]) as server:
                stream = server.stream_stream(METHOD)(metadata=bearer())
                await stream.write(write((1, write((1, ident))), (2, ADDRESS)))
                await stream.write(write((2, AUTHORIZATION)))
                while (data := await stream.read()) is not grpc.aio.EOF:
                    heard = parse(data)
                    learn(heard.type_url, heard.resources, heard.removed)
                    await stream.write(write((2, heard.type_url), (6, heard.nonce)))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            print("stream", error, flush=True)
        await asyncio.sleep(0.2)


def learn(url: str, resources: dict[str, bytes], removed: list[str]) -> None:
    SEEN.answered.add(url)
    if url == ADDRESS:
        for name in removed:
            SEEN.workloads.pop(name, None)
            SEEN.services.pop(name, None)
        for name, value in resources.items():
            fields = read(value)
            (SEEN.workloads if 1 in fields else SEEN.services)[name] = each(fields, 1 if 1 in fields else 2)[0]
    SEEN.write()


async def certificate(identity: str) -> None:
    """A key here, a request by field number (csr=1, validity=3, metadata=4), and the answer's leaf looked at."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    pem = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    struct_ = write((1, write((1, "ImpersonatedIdentity"), (2, write((3, identity))))))
    seconds = int(E["SECRET_TTL"].removesuffix("s"))
    async with channel(E["CA_ADDRESS"]) as server:
        body = await server.unary_unary(CREATE)(write((1, pem), (3, seconds), (4, struct_)), metadata=bearer())
    chain = each(read(body), 1)
    leaf = x509.load_pem_x509_certificate(chain[0])
    roots = x509.load_pem_x509_certificates(chain[-1])
    leaf.verify_directly_issued_by(roots[0])
    said = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert said.get_values_for_type(x509.UniformResourceIdentifier) == [identity]
    assert leaf.public_key() == key.public_key()
    SEEN.identities.append(identity)
    SEEN.write()


class Pod:
    """The three listeners inside one pod."""

    def __init__(self, space: Path) -> None:
        self.space = space
        self.servers: list[socket.socket] = []

    def open(self) -> None:
        with netns.inside(self.space):
            for port in (15001, 15006, 15008):
                server = socket.socket(socket.AF_INET6)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _MARK)
                server.setsockopt(socket.SOL_IP, socket.IP_TRANSPARENT, 1)
                server.bind(("::", port))
                server.listen(128)
                self.servers.append(server)
                threading.Thread(target=self._accept, args=(server, port), daemon=True).start()

    def close(self) -> None:
        for server in self.servers:
            server.close()

    def _accept(self, server: socket.socket, port: int) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            if port == 15008:
                client.close()
            else:
                threading.Thread(target=self._forward, args=(client, port), daemon=True).start()

    def _forward(self, client: socket.socket, port: int) -> None:
        with client:
            try:
                raw = client.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
                to, ip = struct.unpack_from("!2xH4s", raw)
                target = (socket.inet_ntoa(ip), to)
                if port == 15001:
                    target = SEEN.resolve(*target)
                with netns.inside(self.space):
                    upstream = socket.socket()
                with upstream:
                    upstream.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _MARK)
                    upstream.settimeout(5)
                    upstream.connect(target)
                    upstream.settimeout(None)
                    back = threading.Thread(target=pump, args=(upstream, client), daemon=True)
                    back.start()
                    pump(client, upstream)
                    back.join()
            except OSError as error:
                print("forward", port, error, flush=True)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def serve_pods(loop: asyncio.AbstractEventLoop) -> None:
    """ZDS: one request after the other, each answered; the descriptor is the pod's namespace."""
    pods: dict[str, Pod] = {}
    client = Client(Path(E["INPOD_UDS"]), timeout=3600)
    while True:
        said = client.hear()
        if said.member == 1:
            assert said.fd is not None, "an add carries the pod's namespace"
            name, namespace, account = said.info
            pod = Pod(Path(f"/proc/self/fd/{said.fd}"))
            if said.uid not in pods:
                pod.open()
                pods[said.uid] = pod
            identity = f"spiffe://cluster.local/ns/{namespace}/sa/{account}"
            asked: Any = asyncio.run_coroutine_threadsafe(certificate(identity), loop)
            asked.result(20)
            SEEN.pods.append(f"{namespace}/{name}")
        elif said.member == 2 and said.uid in pods:
            pods.pop(said.uid).close()
        SEEN.write()
        client.answer()


async def main() -> None:
    assert E["INPOD_ENABLED"] == "true" and E["PROXY_MODE"] == "shared" and E["NODE_NAME"]
    threading.Thread(target=_or_die, args=(asyncio.get_running_loop(),), daemon=True).start()
    await discovery()


def _or_die(loop: asyncio.AbstractEventLoop) -> None:
    try:
        serve_pods(loop)
    except BaseException as error:
        print("zds", repr(error), flush=True)
        os._exit(1)


if __name__ == "__main__":
    asyncio.run(main())
