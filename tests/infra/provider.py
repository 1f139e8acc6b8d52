"""A provider of Terraform that is no more than its schema.

Terraform asks a provider for its schema, and for what it thinks of a configuration, when it
validates, and when it tests with `mock_provider`: the schema is answered, and nothing is objected.
The rest of the protocol is refused.

The protocol is gRPC with the messages of tfplugin6.proto. What is asked is not read, and all
answers but one are empty: so that one is written here field by field, in the encoding of protocol
buffers (protobuf.dev/programming-guides/encoding), instead of by generated code, whose version
would have to be that of all other packages'.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

SERVERS: list[grpc.Server] = []  # one that nobody holds any more stops

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
FLAGS = {"required": 4, "optional": 5, "computed": 6, "sensitive": 7, "write_only": 11}
EMPTY = (
    "ValidateProviderConfig",
    "ValidateResourceConfig",
    "ValidateDataResourceConfig",
    "ConfigureProvider",
    "UpgradeResourceState",
    "StopProvider",
)
Object = dict[str, Any]


def message(schema: Object) -> bytes:
    """Return a provider's part of `terraform providers schema -json` as the protocol has it."""
    return _join(
        _field(1, _schema(schema["provider"])),
        *_schemas(2, schema.get("resource_schemas", {})),
        *_schemas(3, schema.get("data_source_schemas", {})),
    )


def _schemas(number: int, schemas: Object) -> list[bytes]:
    """A map: entries of a name and a schema."""
    return [
        _field(number, _field(1, name.encode()) + _field(2, _schema(one)))
        for name, one in schemas.items()
    ]


def _schema(schema: Object) -> bytes:
    return _field(1, schema["version"]) + _field(2, _block(schema["block"]))


def _block(block: Object) -> bytes:
    nested = sorted(block.get("block_types", {}).items())
    return _join(
        *_attributes(2, block.get("attributes", {})),
        *(_field(3, _nested(name, one)) for name, one in nested),
    )


def _nested(name: str, nested: Object) -> bytes:
    return _join(
        _field(1, name.encode()),
        _field(2, _block(nested["block"])),
        _field(3, NESTING[nested["nesting_mode"]]),
        _field(4, nested.get("min_items", 0)),
        _field(5, nested.get("max_items", 0)),
    )


def _attributes(number: int, attributes: Object) -> list[bytes]:
    return [_field(number, _attribute(name, one)) for name, one in sorted(attributes.items())]


def _attribute(name: str, attribute: Object) -> bytes:
    if nested := attribute.get("nested_type"):
        of = _attributes(1, nested["attributes"])
        kind = _field(10, _join(*of, _field(3, NESTING[nested["nesting_mode"]])))
    else:
        kind = _field(2, json.dumps(attribute["type"]).encode())
    flags = (_field(number, 1) for flag, number in FLAGS.items() if attribute.get(flag))
    return _join(_field(1, name.encode()), kind, *flags)


def _field(number: int, value: int | bytes) -> bytes:
    """Return a field: its number and its kind, then a number, or bytes after their length."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    return _number(number << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    """Return seven bits a byte, the lowest first; all but the last have the highest bit."""
    said = []
    while value > 0x7F:
        said.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*said, value])


def _join(*parts: bytes) -> bytes:
    return b"".join(parts)


def serve(schema: Path, socket: Path) -> Object:
    """Serve a schema from a thread, until the process ends; return how Terraform finds it.

    That is one entry of TF_REATTACH_PROVIDERS, by which a plugin is used that runs already.
    """
    (content,) = json.loads(schema.read_text())["provider_schemas"].values()
    answers = {"GetProviderSchema": message(content), **dict.fromkeys(EMPTY, b"")}
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(_always(answer))
        for name, answer in answers.items()
    }
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers)]
    )
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    SERVERS.append(server)
    return {
        "Protocol": "grpc",
        "ProtocolVersion": 6,
        "Pid": os.getpid(),
        "Test": True,  # it is not Terraform's to end
        "Addr": {"Network": "unix", "String": str(socket)},
    }


def _always(answer: bytes) -> Callable[[bytes, Any], bytes]:
    return lambda request, context: answer
