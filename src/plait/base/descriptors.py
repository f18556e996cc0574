"""Protobuf message classes from a compact table, so that a wire contract is one readable page and no generated code.

A table maps message names to fields, each `name=number:type`, parted by blanks. A type is a scalar, a message or enum
of the same package, or a full name. Prefixes: `*` repeated, `?` optional with presence, `~` string map to that type,
`<group>|` member of that oneof. An enum is a table entry whose items have no type: `NONE=0 HBONE=1`.
Each call has a descriptor pool of its own, so tables never collide with other copies of the same types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    empty_pb2,
    message_factory,
    struct_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

_F = FieldDescriptorProto
_SCALARS = {
    "string": _F.TYPE_STRING,
    "bytes": _F.TYPE_BYTES,
    "bool": _F.TYPE_BOOL,
    "uint32": _F.TYPE_UINT32,
    "uint64": _F.TYPE_UINT64,
    "int32": _F.TYPE_INT32,
    "int64": _F.TYPE_INT64,
}
_WELL_KNOWN = (any_pb2, empty_pb2, struct_pb2, wrappers_pb2)


def messages(tables: Mapping[str, Mapping[str, str]], wanted: Iterable[str] | None = None) -> dict[str, type[Any]]:
    """Full message name -> class, for every message of `tables` (package -> message -> fields)."""
    pool = descriptor_pool.DescriptorPool()
    known = []
    for module in _WELL_KNOWN:
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
        known.append(file.name)
    names: list[str] = []
    for number, (package, table) in enumerate(tables.items()):
        file = FileDescriptorProto(name=f"plait/{number}/{package}.proto", package=package, syntax="proto3")
        file.dependency.extend(known)
        for name, fields in table.items():
            if _is_enum(fields):
                _enum(file.enum_type.add(name=name), fields)
            else:
                _message(file.message_type.add(name=name), f"{package}.{name}", package, table, fields)
                names.append(f"{package}.{name}")
        pool.Add(file)
        known.append(file.name)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in wanted or names}


def _is_enum(fields: str) -> bool:
    return bool(fields) and ":" not in fields


def _enum(enum: descriptor_pb2.EnumDescriptorProto, fields: str) -> None:
    for field in fields.split():
        name, _, number = field.partition("=")
        # Enum values are siblings of their type in protobuf's scoping, so two enums of a package may not share one.
        enum.value.add(name=f"{enum.name}_{name}", number=int(number))


def _message(message: DescriptorProto, full: str, package: str, table: Mapping[str, str], fields: str) -> None:
    groups: dict[str, int] = {}
    optional: list[FieldDescriptorProto] = []
    for item in fields.split():
        name, _, rest = item.partition("=")
        number, _, kind = rest.partition(":")
        field = message.field.add(name=name, number=int(number), label=_F.LABEL_OPTIONAL)
        group, bar, tail = kind.partition("|")
        if bar:
            kind = tail
            if group not in groups:
                groups[group] = len(message.oneof_decl)
                message.oneof_decl.add(name=group)
            field.oneof_index = groups[group]
        mark = kind[0] if kind[0] in "*?~" else ""
        kind = kind.removeprefix(mark)
        if mark == "*":
            field.label = _F.LABEL_REPEATED
        elif mark == "?":
            optional.append(field)
        if mark == "~":
            entry = message.nested_type.add(name="".join(p.capitalize() for p in name.split("_")) + "Entry")
            entry.options.map_entry = True
            _typed(entry.field.add(name="key", number=1, label=_F.LABEL_OPTIONAL), "string", package, table)
            _typed(entry.field.add(name="value", number=2, label=_F.LABEL_OPTIONAL), kind, package, table)
            field.label, field.type, field.type_name = _F.LABEL_REPEATED, _F.TYPE_MESSAGE, f".{full}.{entry.name}"
        else:
            _typed(field, kind, package, table)
    for field in optional:  # synthetic oneofs must stand after the real ones
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{field.name}")


def _typed(field: FieldDescriptorProto, kind: str, package: str, table: Mapping[str, str]) -> None:
    if (scalar := _SCALARS.get(kind)) is not None:
        field.type = scalar
        return
    field.type = _F.TYPE_ENUM if _is_enum(table.get(kind, "")) else _F.TYPE_MESSAGE
    field.type_name = f".{kind}" if "." in kind else f".{package}.{kind}"
