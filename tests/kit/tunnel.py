"""A hand-held HBONE client: one mTLS HTTP/2 connection, one CONNECT with any headers, and what came back.

For what a well-behaved proxy would never send: foreign authorities, odd spellings, spoofed addresses, old TLS.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import h2.connection
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
