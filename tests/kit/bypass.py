"""Requests that try to get past a policy of hosts, methods, paths and headers, and who would be right to serve them.

The policy (`POLICY`, as a user writes it) is judged by what the *application* received, not by what was sent: a
request that reached it must be one that the policy lets through, read as the application would read it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

HOST = b"shop.example"
POLICY: dict[str, list[dict[str, Any]]] = {
    "DENY": [
        {"to": [{"operation": {"paths": ["/open/admin", "/open/admin/*"]}}]},
        {"to": [{"operation": {"paths": ["/open/tree/{*}/secret"]}}]},
        {"to": [{"operation": {"hosts": ["secret.example", "secret.example:*"]}}]},
        {"to": [{"operation": {"methods": ["DELETE", "PURGE"]}}]},
        {"when": [{"key": "request.headers[x-tier]", "values": ["bad"]}]},
        {"when": [{"key": "request.experimental.inline.headers[x-role]", "values": ["root"]}]},
        {
            "to": [{"operation": {"paths": ["/open/users*"]}}],
            "when": [{"key": "request.headers[x-user]", "notValues": ["alice*"]}],
        },
    ],
    "ALLOW": [{"to": [{"operation": {"paths": ["/open", "/open/*"]}}]}],
}
"""What may be served: anything at /open and below, but for what is denied."""


@dataclass(frozen=True)
class Attempt:
    """One HTTP/1.1 request, byte by byte."""

    name: str
    method: bytes = b"GET"
    target: bytes = b"/open/page"
    headers: tuple[tuple[bytes, bytes], ...] = ((b"host", HOST),)
    honest: bool = False
    """Nothing odd about it: served in every mode, so that a policy that refuses everything is noticed."""

    @property
    def wire(self) -> bytes:
        lines = b"".join(b"%s: %s\r\n" % each for each in self.headers)
        return b"%s %s HTTP/1.1\r\n%sconnection: close\r\n\r\n" % (self.method, self.target, lines)


def _with(*more: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"host", HOST), *more)


# Spellings ---


def _words(text: bytes) -> list[bytes]:
    """Parted by blanks; `~` is a word of nothing."""
    return [b"" if word == b"~" else word for word in text.split()]


def _segment(word: bytes) -> Iterator[bytes]:
    """Ways to write one segment that somebody on the way may read as `word`."""
    first, rest = b"%02x" % word[0], word[1:]
    yield from (word, word.upper(), word.capitalize())
    yield from (b"%" + first + rest, b"%" + first.upper() + rest, b"%25" + first + rest, b"%u00" + first + rest)
    yield b"".join(b"%%%02x" % letter for letter in word)
    yield from (word + end for end in _words(rb";x ;x=1;y %3bx %00 %20 . \ %ff"))
    yield from (word + b"\xff", b";x" + word, b"%c0%ae" + word)


_GLUE = _words(rb"/ // /// /./ /.// /x/../ /%2e/ /x/%2e%2e/ /x/.%2E/ /x/%2e./ %2f %2F /%2f \ %5c /\ /;x/ /.;x/")
_GLUE += _words(b"/x/..;/ /x/..;y=1/ %252f")
_ENDS = _words(rb"~ / // /. /x/.. ? ?x=/open/page # #/open/page %23x %3fx /deep ;")


def paths() -> Iterator[Attempt]:
    """Ways to /open/admin (denied), to /open/tree/a/secret (denied), and out of /open (not allowed)."""
    for word, end in itertools.product(_segment(b"admin"), (b"", b"/", b"/deep")):
        yield Attempt("admin", target=b"/open/" + word + end)
    for glue, end in itertools.product(_GLUE, _ENDS):
        yield Attempt("admin", target=b"/open" + glue + b"admin" + end)
    for glue, name in itertools.product(_GLUE, _words(b"a * %2a a%2fb a;x")):
        yield Attempt("tree", target=b"/open/tree/" + name + glue + b"secret")
    for glue, start in itertools.product(_GLUE, _words(b"/open/.. /open/%2e%2e /open/..; /open/..;x=1")):
        yield Attempt("out", target=start + glue + b"closed")
    for glue in _GLUE:
        yield Attempt("out", target=b"/open" + glue + b"../closed")
    for target in _words(b"/open/../open/admin /../open/admin /./open/admin //open/admin /%2e/open/admin"):
        yield Attempt("admin", target=target)
    for target in _words(rb"* ~ open/admin ?/open/page /closed /openx /OPEN/page /closed?/open/ \open"):
        yield Attempt("out", target=target)


def forms() -> Iterator[Attempt]:
    """Absolute targets, authorities, and methods that nobody uses."""
    schemes = _words(b"http:// https:// HTTP:// ftp://")
    hosts = _words(b"shop.example secret.example SECRET.example secret.example:80 user@secret.example x")
    for scheme, host, path in itertools.product(schemes, hosts, (b"/open/admin", b"/open/page")):
        yield Attempt("absolute", target=scheme + host + path)
    for target in _words(b"http://shop.example http:///open/admin http://shop.example?x http://shop.example#/open/"):
        yield Attempt("absolute", target=target)
    for method in _words(
        b"DELETE delete Delete PURGE purge DELETEX OPTIONS TRACE HEAD FOO PROPFIND PRI GET/ M-SEARCH POST"
    ):
        yield Attempt("method", method=method)
    for method in (b"DELETE\x00", b"G ET", b" DELETE", b"DELETE "):
        yield Attempt("method", method=method)
    for target in _words(b"shop.example:80 127.0.0.1:80 /open/page /open/admin * ~ http://shop.example/open/page"):
        yield Attempt("connect", method=b"CONNECT", target=target)
    for name in _words(b"x-http-method-override x-method-override x-http-method"):
        yield Attempt("override", headers=_with((name, b"DELETE")))


def names() -> Iterator[Attempt]:
    """The host that is denied, as a host may be written, once and more than once."""
    ends = _words(rb"~ :80 :8080 : :080 / \ # ? . .: .:80 ,shop.example")
    for host in (
        *(b"secret.example" + end for end in ends),
        *_words(b"SECRET.EXAMPLE Secret.Example SECRET.example:80 ~"),
    ):
        yield Attempt("host", headers=((b"host", host),))
    for host in _words(b"user@secret.example secret%2eexample shop.example,secret.example"):
        yield Attempt("host", headers=((b"host", host),))
    for host in (b" secret.example ", b"\tsecret.example", b"secret.example\x00", b"secret.example\xff"):
        yield Attempt("host", headers=((b"host", host),))
    for one, other in itertools.permutations((HOST, b"secret.example"), 2):
        for name in (*_words(b"host Host ho_st :authority x-forwarded-host"), b"host ", b" host"):
            yield Attempt("hosts", headers=((b"host", one), (name, other)))
    for name in _words(b"x-original-url x-rewrite-url x-envoy-original-path :path x-forwarded-prefix"):
        yield Attempt("override", headers=_with((name, b"/open/admin")))


def values() -> Iterator[Attempt]:
    """Headers that are denied by value, and one that is denied by what it is not."""
    odd = (b"bad", b" bad", b"bad ", b"\tbad\t", b"bad\x00", b"bad\r", b"b\xc3\xa4d", b"BAD")
    for value, name in itertools.product(odd, (b"x-tier", b"X-TIER", b"x_tier", b"x-tier ")):
        yield Attempt("tier", headers=_with((name, value)))
    for other in (b"good", b"", b"\xff"):
        yield Attempt("tier", headers=_with((b"x-tier", other), (b"x-tier", b"bad")))
        yield Attempt("tier", headers=_with((b"x-tier", b"bad"), (b"X-Tier", other)))
    before = (b"", b"a,", b"\xff,", b"\xc3\x28,", b"a, ", b",,")
    after = (b"", b",b", b",\xff", b" ,b", b",\xed\xa0\x80")
    for start, end in itertools.product(before, after):
        yield Attempt("role", headers=_with((b"x-role", start + b"root" + end)))
    for other in (b"a", b"", b"\xff", b"a,b"):
        yield Attempt("role", headers=_with((b"x-role", other), (b"x-role", b"root")))
        yield Attempt("role", headers=_with((b"x-role", b"root"), (b"X-Role", other)))
    users = (b"bob", b"", b"\xff", b"alice\xff", b"\xffalice", b"bob,alice", b"\xc3\x28", b"Alice", b"bob\nalice")
    for user in users:
        yield Attempt("user", target=b"/open/users", headers=_with((b"x-user", user)))
        yield Attempt("user", target=b"/open/users?alice", headers=_with((b"x-user", user), (b"x-user", b"alice")))
    yield Attempt("user", target=b"/open/users")


def honest() -> Iterator[Attempt]:
    pages = _words(b"/open /open/ /open/page /open/page?x=1 /open/administrator /open/tree/a/leaf /open/a/../b")
    for target in pages:
        yield Attempt("honest", target=target, honest=True)
    yield Attempt("honest", headers=_with((b"x-tier", b"good"), (b"x-role", b"user")), honest=True)
    yield Attempt("honest", target=b"/open/users", headers=_with((b"x-user", b"alice")), honest=True)


def corpus() -> tuple[Attempt, ...]:
    found = (*paths(), *forms(), *names(), *values(), *honest())
    return tuple({each.wire: each for each in found}.values())


# What the application has ---


def application(reader: BinaryIO, writer: BinaryIO) -> None:
    """Answers with what reached it: method, target and headers, each byte of them."""
    head = []
    while line := reader.readline().rstrip(b"\r\n"):
        head.append(line)
    method, _, rest = head[0].partition(b" ")
    target = rest.rpartition(b" ")[0]
    fields = [tuple(part.decode("latin-1").strip() for part in line.partition(b":")[::2]) for line in head[1:]]
    seen = {"method": method.decode("latin-1"), "target": target.decode("latin-1"), "headers": fields}
    body = b"" if method == b"HEAD" else json.dumps(seen).encode()
    answer = b"HTTP/1.1 200 OK\r\nx-served: yes\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    writer.write(answer + body)


def whole(answer: bytes) -> bool:
    """Is this all of an answer? A proxy that refuses leaves the connection open for a second more."""
    head, parted, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    return bool(parted) and len(body) >= (int(length[1]) if length else 0)


@dataclass(frozen=True)
class Verdict:
    """How it ended: the status of the answer ("" when the connection ended without one), and what the server saw."""

    status: str
    seen: dict[str, Any] | None = None

    @classmethod
    def of(cls, answer: bytes) -> Verdict:
        head, _, body = answer.partition(b"\r\n\r\n")
        status = found[0].decode() if (found := re.findall(rb"^HTTP/1.. (\d{3})", head)) else ""
        served = b"x-served: yes" in head.lower()
        return cls(status, json.loads(body) if served and body else {} if served else None)

    @property
    def served(self) -> bool:
        return self.seen is not None


def read(target: str, *, strict: bool) -> str:
    """The path of a target as RFC 3986 reads it; `strict`: as an application does that decodes and merges all."""
    path = re.sub(r"^[A-Za-z]+://[^/?#]*", "", target)
    path = re.split("[?#]", path)[0] or "/"
    if strict:
        path = re.sub("/+", "/", unquote_to_bytes(path.encode("latin-1")).decode("latin-1").replace("\\", "/"))
    else:
        path = re.sub("%([0-9A-Fa-f]{2})", _unreserved, path)
    kept: list[str] = []
    parts = path.split("/")
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "..":
            kept = kept[:-1] or [""]
        elif part != ".":
            kept.append(part)
            continue
        if last:
            kept.append("")
    return "/".join(kept)


def _unreserved(found: re.Match[str]) -> str:
    letter = chr(int(found[1], 16))
    return letter if re.fullmatch(r"[A-Za-z0-9._~-]", letter) else found[0]


def objections(seen: dict[str, Any], *, strict: bool) -> list[str]:
    """Why the policy would not have let this request through; empty for one that it would."""
    found = []
    path = read(seen["target"], strict=strict)
    fields: list[tuple[str, str]] = [(key.lower(), value) for key, value in seen["headers"]]

    def lines(name: str) -> list[str]:
        return [value for key, value in fields if key == name]

    if path == "/open/admin" or path.startswith("/open/admin/"):
        found.append(f"path {path} is denied")
    if re.fullmatch(r"/open/tree/[^/]+/secret", path):
        found.append(f"path {path} is denied by its template")
    if path != "/open" and not path.startswith("/open/"):
        found.append(f"path {path} is not allowed")
    if len(lines("host")) != 1 or re.fullmatch(r"(?i)secret\.example\.?(:.*)?", lines("host")[0]):
        found.append(f"host {lines('host')} is denied")
    if seen["method"].upper() in ("DELETE", "PURGE") and seen["method"].isupper():
        found.append(f"method {seen['method']} is denied")
    if "bad" in lines("x-tier"):
        found.append("x-tier: bad is denied")
    if any(item.strip() == "root" for line in lines("x-role") for item in line.split(",")):
        found.append(f"x-role {lines('x-role')} is denied")
    if path.startswith("/open/users") and not any(line.startswith("alice") for line in lines("x-user")):
        found.append(f"x-user {lines('x-user')} is denied")
    return found
