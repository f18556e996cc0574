"""Scripts for pods: one that asks a nameserver, and a nameserver."""

from __future__ import annotations

ASK = """
import json, socket, struct, sys
server, name, how, more = *sys.argv[1:4], sys.argv[4:]
kind, patience = int((more or ["1"])[0]), float((more[1:] or ["6"])[0])
family = socket.AF_INET6 if ":" in server else socket.AF_INET
query = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
query += b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\0" + struct.pack("!HH", kind, 1)
if how == "udp":
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(patience)
    s.connect((server, 53)); s.send(query); data = s.recv(4096)
else:
    s = socket.create_connection((server, 53), patience)
    s.sendall(len(query).to_bytes(2, "big") + query)
    size = int.from_bytes(s.recv(2), "big"); data = b""
    while len(data) < size: data += s.recv(size - len(data))
assert data[:2] == query[:2]
found, at = [], len(query)
for _ in range(struct.unpack_from("!H", data, 6)[0]):
    while data[at]: at += 1 + data[at]
    said, _, _, size = struct.unpack_from("!HHIH", data, at + 1)
    if said == kind: found.append(socket.inet_ntop({1: 2, 28: 10}[kind], data[at + 11:at + 11 + size]))
    at += 11 + size
print(json.dumps([data[3] & 15, sorted(found)]))
"""
"""Puts one question (of type A, or 28: AAAA) by UDP or TCP and prints the code and the addresses.

Arguments: nameserver, name, udp | tcp, [type, [seconds]].
"""

SERVE = """
import socket, sys, threading
def answer(q):
    end = q.index(0, 12) + 5
    head = q[:2] + b"\\x84\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + q[12:end]
    return head + q[12:end - 4] + b"\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4\\xc0\\0\\2\\x35"
where = sys.argv[1]
family = socket.AF_INET6 if ":" in where else socket.AF_INET
udp = socket.socket(family, socket.SOCK_DGRAM); udp.bind((where, 53))
tcp = socket.create_server((where, 53), family=family)
def streams():
    while True:
        s, peer = tcp.accept(); q = s.recv(4096)[2:]; a = answer(q)
        print("tcp", peer[0], flush=True); s.sendall(len(a).to_bytes(2, "big") + a); s.close()
threading.Thread(target=streams, daemon=True).start()
print("ready", flush=True)
while True:
    q, peer = udp.recvfrom(4096); print("udp", peer[0], flush=True); udp.sendto(answer(q), peer)
"""
"""A nameserver that knows one thing: 192.0.2.53, whatever is asked; and who asked. Argument: its address."""
