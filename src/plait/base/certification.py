"""The certificate protocol's two messages, as protobuf classes built from their field numbers.

istio.v1.auth.IstioCertificateService/CreateCertificate: foreign ztunnels send it too, so numbers are facts.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2

SERVICE: Final = "istio.v1.auth.IstioCertificateService"
METHOD: Final = "CreateCertificate"
IMPERSONATED: Final = "ImpersonatedIdentity"  # key of the request's metadata struct

_Field = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="plait/base/certification.proto",
        package="istio.v1.auth",
        syntax="proto3",
        dependency=["google/protobuf/struct.proto"],
    )
    request = file.message_type.add(name="IstioCertificateRequest")
    request.field.add(name="csr", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    request.field.add(name="validity_duration", number=3, type=_Field.TYPE_INT64, label=_Field.LABEL_OPTIONAL)
    request.field.add(
        name="metadata",
        number=4,
        type=_Field.TYPE_MESSAGE,
        type_name=".google.protobuf.Struct",
        label=_Field.LABEL_OPTIONAL,
    )
    response = file.message_type.add(name="IstioCertificateResponse")
    response.field.add(name="cert_chain", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_REPEATED)
    return file


# A pool of our own: the default one may hold the real Istio protos in a user's process.
_pool = descriptor_pool.DescriptorPool()
_struct = descriptor_pb2.FileDescriptorProto()
struct_pb2.DESCRIPTOR.CopyToProto(_struct)
_pool.Add(_struct)
_pool.Add(_file())

Request: Any = message_factory.GetMessageClass(_pool.FindMessageTypeByName("istio.v1.auth.IstioCertificateRequest"))
Response: Any = message_factory.GetMessageClass(_pool.FindMessageTypeByName("istio.v1.auth.IstioCertificateResponse"))
