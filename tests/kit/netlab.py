"""A network of pods in network namespaces on one bridge, with the in-pod redirect rules, for tests of the data plane.

    with Lab() as lab:
        server = lab.serve("b1", 8080, handler)
        client = lab.connect("a1", lab.address("b1"), 8080)

Everything is named after this run and removed at the end whatever happened. It works for root and under
`unshare -Urnm` (an own user, network and mount namespace), where it first puts a tmpfs on /run.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

NETNS = Path("/run/netns")
CAPTURED = {"a1": 1, "a2": 1, "a3": 1, "b1": 2, "b2": 2}  # pod -> node number
PODS = {"a1": "1.11", "a2": "1.12", "a3": "1.13", "b1": "2.11", "b2": "2.12", "plain": "3.11"}
NODES = {"na": "255.11", "nb": "255.12"}
_runs = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)

# What Istio's CNI writes inside a pod: everything out to 15001, everything in but HBONE to 15006; the proxy's own
# packets (mark 0x539) pass, and answers on its source-preserving connections come back through the loopback table 100.
RULES = """*mangle
-A PREROUTING -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff
-A OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
COMMIT
*nat
-A PREROUTING ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006
-A OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT
-A OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT
-A OUTPUT ! -d 127.0.0.1/32 -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001
COMMIT
"""


def run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def private_run() -> None:
    """As root of a user namespace, /run is not ours: cover it, once."""
    own_user_namespace = Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"]
    if os.geteuid() == 0 and own_user_namespace and not os.access("/run/netns", os.W_OK):
        run("mount", "-t", "tmpfs", "tmpfs", "/run")


@contextlib.contextmanager
def inside(netns: Path) -> Iterator[None]:
    """The calling thread is inside a network namespace; sockets made there stay there."""
    with open("/proc/thread-self/ns/net") as home, open(netns) as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def sniffing(netns: Path, device: str = "eth0") -> Iterator[list[bytes]]:
    """Every frame that passes a device, while the block lasts."""
    with inside(netns):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind((device, 0))
    raw.settimeout(0.2)
    seen: list[bytes] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                seen.append(raw.recv(65535))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()
        raw.close()


Handler = Callable[[socket.socket, tuple[str, int]], None]


class Lab:
    """Namespaces of one run. `captured` pods get the redirect rules; `plain` is outside the mesh."""

    def __init__(self, captured: dict[str, int] | None = None) -> None:
        self.captured = CAPTURED if captured is None else captured
        self.run_name = f"envoy{os.getpid():x}{next(_runs)}"
        self.index = 192 + os.getpid() % 56
        self._servers: list[socket.socket] = []

    def netns(self, name: str) -> Path:
        return NETNS / f"{self.run_name}-{name}"

    def address(self, name: str) -> str:
        return f"10.{self.index}.{(PODS | NODES)[name]}"

    @property
    def network(self) -> str:
        return f"10.{self.index}.0.0/16"

    def __enter__(self) -> Lab:
        try:
            self._up()
        except BaseException:
            self._down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._down()

    def _up(self) -> None:
        private_run()
        NETNS.mkdir(parents=True, exist_ok=True)
        hub = self.netns("fab").name
        everyone = {**PODS, **NODES}
        run("ip", "-batch", "-", stdin="".join(f"netns add {self.netns(n).name}\n" for n in ("fab", *everyone)))
        links = [
            "link set lo up",
            "link add br0 type bridge",
            "link set br0 up",
            f"address add 10.{self.index}.255.254/16 dev br0",
        ]
        for name in everyone:
            links.append(f"link add v-{name} type veth peer name eth0 netns {self.netns(name).name}")
            links.append(f"link set v-{name} master br0 up")
        run("ip", "-n", hub, "-batch", "-", stdin="\n".join(links))
        for name in everyone:
            lines = [
                "link set lo up",
                "link set eth0 up",
                f"address add {self.address(name)}/16 dev eth0",
                f"route add default via 10.{self.index}.255.254",
            ]
            if name in self.captured:
                lines.append("rule add fwmark 0x111/0xfff pref 32764 lookup 100")
                lines.append("route add local 0.0.0.0/0 dev lo table 100")
            run("ip", "-n", self.netns(name).name, "-batch", "-", stdin="\n".join(lines))
            if name in self.captured:
                with inside(self.netns(name)):
                    run("iptables-restore", "-w", stdin=RULES)

    def _down(self) -> None:
        for server in self._servers:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for name in (*PODS, *NODES, "fab"):
            if self.netns(name).exists():
                with contextlib.suppress(RuntimeError):
                    run("ip", "netns", "del", self.netns(name).name)

    def connect(self, pod: str, address: str, port: int, timeout: float = 5.0) -> socket.socket:
        """A TCP connection from inside a pod."""
        with inside(self.netns(pod)):
            made = socket.socket()
        made.settimeout(timeout)
        try:
            made.connect((address, port))
        except BaseException:
            made.close()
            raise
        return made

    def hold(self, pod: str, port: int) -> None:
        """A server in one thread that greets each connection with "!" and keeps it: for very many connections."""
        with inside(self.netns(pod)):
            listening = socket.create_server(("0.0.0.0", port), backlog=4096)
        self._servers.append(listening)
        kept: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listening.accept()[0])
                    kept[-1].sendall(b"!")
            for connection in kept:
                connection.close()

        threading.Thread(target=accept, daemon=True).start()

    def serve(self, pod: str, port: int, handler: Handler, address: str = "0.0.0.0") -> socket.socket:
        """A thread-per-connection TCP server inside a pod; `handler` gets the socket and the client's address."""
        with inside(self.netns(pod)):
            listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(4096)
        self._servers.append(listening)

        def one(connection: socket.socket, client: tuple[str, int]) -> None:
            with connection, contextlib.suppress(OSError):
                handler(connection, client)

        def accept() -> None:
            while True:
                try:
                    connection, client = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection, client), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return listening


def echo(connection: socket.socket, client: tuple[str, int]) -> None:
    """Says the client's address, then everything back until the client's end."""
    connection.sendall(f"{client[0]}\n".encode())
    while data := connection.recv(65536):
        connection.sendall(data)


def quiet_echo(connection: socket.socket, client: tuple[str, int]) -> None:
    """Says nothing by itself."""
    while data := connection.recv(65536):
        connection.sendall(data)
