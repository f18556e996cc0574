"""A hand-held HBONE client: one mTLS HTTP/2 connection, one CONNECT with any headers, and what came back.

For what a well-behaved proxy would never send: foreign authorities, odd spellings, spoofed addresses, old TLS.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from .pki import Authority, Leaf


@dataclass
class Answer:
    """The status of the CONNECT ("" when the peer ended it without one) and the first bytes behind it."""

    status: str = ""
    data: bytes = b""


def context(authority: Authority, leaf: Leaf | None) -> ssl.SSLContext:
    """Client side; the server's name is not checked here (there is no SNI in HBONE), its chain is."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(cadata=authority.root.decode())
    made.set_alpn_protocols(["h2"])
    if leaf is not None:
        with tempfile.TemporaryDirectory() as held:
            certificate, key = Path(held, "leaf.pem"), Path(held, "leaf.key")
            certificate.write_bytes(leaf.certificate)
            key.write_bytes(leaf.key)
            made.load_cert_chain(certificate, key)
    return made


def connect(
    plain: socket.socket,
    tls: ssl.SSLContext,
    authority: str,
    headers: dict[str, str] | None = None,
    send: bytes = b"",
    wait_for_data: bool = False,
) -> Answer:
    """Open a tunnel to `authority` over a connected socket, read its status (and first bytes), and close."""
    answer = Answer()
    plain.settimeout(5)
    with contextlib.closing(tls.wrap_socket(plain)) as stream:
        http = h2.connection.H2Connection()
        http.initiate_connection()
        head = [(":method", "CONNECT"), (":authority", authority), *(headers or {}).items()]
        http.send_headers(1, head)
        if send:
            http.send_data(1, send)
        stream.sendall(http.data_to_send())
        while True:
            with contextlib.suppress(ConnectionResetError):
                if received := stream.recv(65536):
                    for event in http.receive_data(received):
                        if isinstance(event, h2.events.ResponseReceived):
                            answer.status = dict(event.headers)[b":status"].decode()
                        elif isinstance(event, h2.events.DataReceived):
                            answer.data += event.data
                        elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                            return answer
                    stream.sendall(http.data_to_send())
                    if answer.status and (answer.data or not wait_for_data or answer.status != "200"):
                        return answer
                    continue
            return answer


class Tunnels:
    """One mTLS connection to an HBONE port, and a CONNECT of its own for each exchange."""

    def __init__(self, plain: socket.socket, tls: ssl.SSLContext, authority: str) -> None:
        plain.settimeout(10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.authority = authority
        self._stream = tls.wrap_socket(plain)
        self._http = h2.connection.H2Connection()
        self._http.initiate_connection()

    def exchange(self, sent: bytes, whole: Callable[[bytes], bool]) -> bytes:
        """What came back until it was whole or the stream ended."""
        number = self._http.get_next_available_stream_id()
        self._http.send_headers(number, [(":method", "CONNECT"), (":authority", self.authority)])
        self._http.send_data(number, sent)
        found, ended = b"", False
        while not ended:
            self._stream.sendall(self._http.data_to_send())
            received = self._stream.recv(65536)
            assert received, "the tunnels' connection ended"
            for event in self._http.receive_data(received):
                if isinstance(event, h2.events.DataReceived):
                    self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                    found += (event.data or b"") if event.stream_id == number else b""
                elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    ended = ended or event.stream_id == number
            if not ended and whole(found):
                self._http.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
                ended = True
        self._stream.sendall(self._http.data_to_send())
        return found

    def close(self) -> None:
        self._stream.close()


class Pipe:
    """One CONNECT on a connection of its own, used as a socket is: for who sends without end, or byte by byte."""

    def __init__(self, plain: socket.socket, tls: ssl.SSLContext, authority: str) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = tls.wrap_socket(plain)
        self._http = h2.connection.H2Connection()
        self._http.initiate_connection()
        self._http.send_headers(1, [(":method", "CONNECT"), (":authority", authority)])
        self._found, self._ended = b"", False

    def settimeout(self, seconds: float | None) -> None:
        self._stream.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        """As far as the peer's window allows; BrokenPipeError when the tunnel has ended."""
        while data:
            while not self._ended and (self._stream.pending() or select.select([self._stream], [], [], 0)[0]):
                self._receive()
            if self._ended:
                raise BrokenPipeError("the tunnel ended")
            room = min(self._http.local_flow_control_window(1), self._http.max_outbound_frame_size, len(data))
            if room:
                self._http.send_data(1, data[:room])
                data = data[room:]
                self._stream.sendall(self._http.data_to_send())
            else:
                self._receive()

    def recv(self, size: int) -> bytes:
        while not self._found and not self._ended:
            self._receive()
        found, self._found = self._found[:size], self._found[size:]
        return found

    def _receive(self) -> None:
        self._stream.sendall(self._http.data_to_send())
        received = self._stream.recv(65536)
        self._ended = self._ended or not received
        for event in self._http.receive_data(received):
            if isinstance(event, h2.events.DataReceived):
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
                self._found += event.data or b""
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self._ended = True
        self._stream.sendall(self._http.data_to_send())

    def close(self) -> None:
        self._stream.close()
