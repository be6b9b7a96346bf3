"""Write docs/api.md, docs/settings.md and docs/errors.md from what they describe.

`--check` writes nothing, names the files that are stale, and exits 1 when there are any.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from crystalmesh_common.mesh.registry import SERVICES  # noqa: E402 -- beside the import that needs the path
from crystalmesh_common.runtime.errors import STATUS_TABLE, CrystalMeshError  # noqa: E402
from crystalmesh_common.runtime.ray.settings import SETTINGS_NAME, RaySettings  # noqa: E402
from crystalmesh_common.runtime.settings import ENV_PREFIX, ServiceSettings  # noqa: E402
from tools.protos import GOOGLEAPIS, PROTOS, place_googleapis  # noqa: E402

DOCS = ROOT / "docs"
GENERATED = "<!-- Written by tools/api_reference.py; change the {source} and run `make docs`. -->"
API_PREFIX = "crystalmesh."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = [path for path, text in references() if not path.exists() or path.read_text() != text]
    if check:
        for path in stale:
            print(f"stale: {path.relative_to(ROOT)}", file=sys.stderr)
        if stale:
            print("run `make docs` and commit the result", file=sys.stderr)
        return 1 if stale else 0
    for path, text in references():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return 0


def references() -> Iterator[tuple[Path, str]]:
    """Every generated file with the text that it should have."""
    protos = described_protos()
    yield DOCS / "api.md", "\n".join(api_reference(protos)) + "\n"
    yield DOCS / "settings.md", "\n".join(settings_reference()) + "\n"
    yield DOCS / "errors.md", "\n".join(errors_reference(protos)) + "\n"


@dataclass(frozen=True)
class Proto:
    """One file of the API with its comments, found by the path that protoc gives each element."""

    file: FileDescriptorProto
    comments: Mapping[tuple[int, ...], str]

    def comment(self, *path: int) -> str:
        return self.comments.get(path, "")


def described_protos() -> list[Proto]:
    """All protos of the API, by file name."""
    place_googleapis()
    sources = sorted(PROTOS.glob("crystalmesh/**/*.proto"))
    well_known = Path(str(files("grpc_tools") / "_proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "api.binpb"
        protoc = [sys.executable, "-m", "grpc_tools.protoc"]
        protoc += [f"-I{path}" for path in (PROTOS, GOOGLEAPIS, well_known)]
        protoc += ["--include_source_info", f"--descriptor_set_out={out}"]
        subprocess.run([*protoc, *map(str, sources)], check=True)
        described = FileDescriptorSet.FromString(out.read_bytes())
    return [Proto(file, _comments(file)) for file in sorted(described.file, key=lambda file: file.name)]


def _comments(file: FileDescriptorProto) -> Mapping[tuple[int, ...], str]:
    locations = file.source_code_info.location
    return {tuple(at.path): _text(at.leading_comments) for at in locations if at.leading_comments}


def _text(comment: str) -> str:
    """The comment without the space that follows each `//`."""
    return "\n".join(line.removeprefix(" ") for line in comment.strip().splitlines())


# Field numbers in descriptor.proto, of which paths are made.
_FILE_MESSAGES, _FILE_ENUMS, _FILE_SERVICES = 4, 5, 6
_SERVICE_METHODS, _MESSAGE_FIELDS, _MESSAGE_MESSAGES, _MESSAGE_ENUMS, _ENUM_VALUES = 2, 2, 3, 4, 2


def api_reference(protos: list[Proto]) -> Iterator[str]:
    """docs/api.md, line by line."""
    yield GENERATED.format(source="protos")
    yield "# API"
    yield ""
    yield "Every service, method, message and enum of the mesh, from the protos and their comments. Reasons"
    yield "of failures are in [errors.md](errors.md), what works today is in the [README](../README.md)."
    packages = sorted({proto.file.package for proto in protos})
    yield ""
    for package in packages:
        methods = [service.name for proto in _of(package, protos) for service in proto.file.service]
        services = ": " + ", ".join(f"`{name}`" for name in methods) if methods else ""
        yield f"- [{package}](#{_anchor(package)}){services}"
    for package in packages:
        yield ""
        yield f'## <a id="{_anchor(package)}"></a>{package}'
        for proto in _of(package, protos):
            for index, service in enumerate(proto.file.service):
                yield from _service(proto, service, (_FILE_SERVICES, index))
        for proto in _of(package, protos):
            for index, message in enumerate(proto.file.message_type):
                yield from _message(proto, message, (_FILE_MESSAGES, index), package)
            for index, enum in enumerate(proto.file.enum_type):
                yield from _enum(proto, enum, (_FILE_ENUMS, index), package)


def _of(package: str, protos: list[Proto]) -> list[Proto]:
    return [proto for proto in protos if proto.file.package == package]


def _service(proto: Proto, service: ServiceDescriptorProto, path: tuple[int, ...]) -> Iterator[str]:
    yield ""
    yield f"### service {service.name}"
    yield ""
    yield proto.comment(*path)
    for index, method in enumerate(service.method):
        yield ""
        yield f"#### {method.name} · {_kind(method)}"
        yield ""
        request = f"{_stream(method.client_streaming)}{_link(method.input_type)}"
        response = f"{_stream(method.server_streaming)}{_link(method.output_type)}"
        yield f"{request} → {response}"
        yield ""
        yield proto.comment(*path, _SERVICE_METHODS, index)


def _kind(method: MethodDescriptorProto) -> str:
    match method.client_streaming, method.server_streaming:
        case False, False:
            return "unary"
        case False, True:
            return "server streaming"
        case True, False:
            return "client streaming"
        case _:
            return "bidirectional streaming"


def _stream(streaming: bool) -> str:  # noqa: FBT001 -- as protoc says it
    return "stream of " if streaming else ""


def _message(proto: Proto, message: DescriptorProto, path: tuple[int, ...], scope: str) -> Iterator[str]:
    name = f"{scope}.{message.name}"
    yield from _heading("message", name, proto.comment(*path))
    if message.field:
        yield ""
        yield "| field | type | # | meaning |"
        yield "|---|---|---|---|"
    for index, field in enumerate(message.field):
        meaning = _cell(proto.comment(*path, _MESSAGE_FIELDS, index))
        if field.HasField("oneof_index") and not field.proto3_optional:
            meaning = f"*one of `{message.oneof_decl[field.oneof_index].name}`* {meaning}"
        yield f"| `{field.name}` | {_field_type(field, message)} | {field.number} | {meaning} |"
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _message(proto, nested, (*path, _MESSAGE_MESSAGES, index), name)
    for index, enum in enumerate(message.enum_type):
        yield from _enum(proto, enum, (*path, _MESSAGE_ENUMS, index), name)


def _enum(proto: Proto, enum: EnumDescriptorProto, path: tuple[int, ...], scope: str) -> Iterator[str]:
    yield from _heading("enum", f"{scope}.{enum.name}", proto.comment(*path))
    yield ""
    yield "| value | # | meaning |"
    yield "|---|---|---|"
    for index, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {_cell(proto.comment(*path, _ENUM_VALUES, index))} |"


def _heading(kind: str, name: str, comment: str) -> Iterator[str]:
    yield ""
    yield f'### <a id="{_anchor(name)}"></a>{kind} {name.rsplit(".", 1)[1]}'
    yield ""
    yield comment


def _field_type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    entries = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
    if entry := entries.get(field.type_name.rsplit(".", 1)[-1]):
        key, value = (_bare_type(part) for part in entry.field)
        return f"map of {key} to {value}"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {_bare_type(field)}"
    return f"optional {_bare_type(field)}" if field.proto3_optional else _bare_type(field)


def _bare_type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return _link(field.type_name)
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _link(type_name: str) -> str:
    name = type_name.lstrip(".")
    if not name.startswith(API_PREFIX):
        return f"`{name}`"
    return f"[{name.rsplit('.', 1)[1]}](#{_anchor(name)})"


def _anchor(name: str) -> str:
    return name.removeprefix(API_PREFIX).lower().replace(".", "-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_SETTINGS_INTRODUCTION = f"""\
Every service reads its settings from, in falling precedence: flags, its own variables
(`{ENV_PREFIX}<SERVICE>_…`), the shared variables (`{ENV_PREFIX}…`), the table of its name and the
table `[common]` in the TOML file that `{ENV_PREFIX}CONFIG` names, and the defaults below. An unknown
flag, an unknown variable that begins with a service's name, an unknown key in one of these tables and a
value out of range are errors: the service says which and exits with status 2.

How to use them is in [operations.md](operations.md); what clients read from the environment is in
[python-client.md](python-client.md).

## All services

The variable is given in its shared form; with the service's name it reaches only that service:
`{ENV_PREFIX}PORT` and `{ENV_PREFIX}RELAXATION_PORT`.
The TOML key may stand in the table of the service, too."""


def settings_reference() -> Iterator[str]:
    """docs/settings.md, line by line."""
    yield GENERATED.format(source="settings classes")
    yield "# Settings"
    yield ""
    yield _SETTINGS_INTRODUCTION
    yield from _settings_table(ServiceSettings.model_fields, ENV_PREFIX, "common")
    for service in SERVICES:
        settings = import_module(f"{service.module}.service").SERVICE.settings
        yield ""
        yield f"## {service.name}"
        yield from _own_settings(settings, service.name)
    yield ""
    yield "## The Ray runtime"
    yield ""
    yield "Address, token and TLS of a mesh on Ray come from these and the shared settings; each service"
    yield "reads its own where it runs."
    yield from _own_settings(RaySettings, SETTINGS_NAME)


def _own_settings(settings: type[ServiceSettings], name: str) -> Iterator[str]:
    """What a service adds to the settings of all."""
    common = ServiceSettings.model_fields
    own = {field: info for field, info in settings.model_fields.items() if field not in common}
    if own:
        yield from _settings_table(own, f"{ENV_PREFIX}{name.upper()}_", name)
    else:
        yield ""
        yield "Nothing of its own yet."


def _settings_table(fields: Mapping[str, FieldInfo], prefix: str, table: str) -> Iterator[str]:
    yield ""
    yield "| flag | variable | TOML | type | default | meaning |"
    yield "|---|---|---|---|---|---|"
    for path, field in _leaves(fields):
        flag = "--" + ".".join(path).replace("_", "-")
        variable = prefix + "__".join(path).upper()
        toml = ".".join((table, *path))
        yield (
            f"| `{flag}` | `{variable}` | `{toml}` | {_cell(_type_name(field.annotation))} "
            f"| {_default(field)} | {_cell(field.description or '')} |"
        )


def _leaves(
    fields: Mapping[str, FieldInfo], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Each single setting with its path; a nested model stands for its fields."""
    for name, field in fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _leaves(annotation.model_fields, (*above, name))
        else:
            yield (*above, name), field


def _type_name(annotation: Any) -> str:
    """The type in a reader's words."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list: {_type_name(get_args(annotation)[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    if members := [member for member in get_args(annotation) if member is not type(None)]:
        return " or ".join(_type_name(member) for member in members)
    words = {str: "text", int: "whole number", float: "number", bool: "yes or no", Path: "path"}
    return words.get(annotation, "secret text" if annotation is SecretStr else str(annotation))


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None:
        return "unset"
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`" if default else "none"
    if isinstance(default, Enum):
        return f"`{default.value}`"
    return f"`{str(default).lower()}`" if isinstance(default, bool) else f"`{default}`"


# What the client retries by itself is in its service config: these codes, unless the server says no.
_RETRIED_CODES = {"UNAVAILABLE"}
_RETRY: Mapping[str, str] = {
    "QUEUE_FULL": "yes, the client does, after the server's hint",
    "DEADLINE_EXCEEDED": "with a longer deadline",
    "STORAGE_FULL": "once there is space",
    "WRITER_BUSY": "once the other writer is done",
}


_ERRORS_INTRODUCTION = """\
A call that fails ends with a gRPC status whose details hold one `google.rpc.ErrorInfo` of the domain
`crystalmesh`; so does the `error` of an item that failed while its call went on. Its `reason` is one of
these and does not change; the message is for people and may. The metadata holds what the meaning below
names and, when the call failed whole, `request_id`, by which the server's log tells more.
`google.rpc.RetryInfo` says after how long a retry may help. In Python every reason is an exception class of
`crystalmesh_common.runtime.errors`.
"""


def errors_reference(protos: list[Proto]) -> Iterator[str]:
    """docs/errors.md, line by line."""
    yield GENERATED.format(source="proto comments in protos/crystalmesh/common/v1/error_reason.proto")
    yield "# Errors"
    yield ""
    yield _ERRORS_INTRODUCTION
    yield "| reason | gRPC code | Python class | meaning | retry |"
    yield "|---|---|---|---|---|"
    for reason, comment in _reasons(protos):
        error = STATUS_TABLE[reason]
        code = error.code.name
        meaning = _cell(comment).removeprefix(f"{code}: ")
        meaning = meaning[0].upper() + meaning[1:]
        yield f"| `{reason}` | `{code}` | `{error.__name__}` | {meaning} | {_retry(reason, code)} |"
    yield ""
    yield "## Groups"
    yield ""
    yield "A class that has no reason of its own stands for those below it; catch it to treat them alike."
    yield ""
    yield from _tree(CrystalMeshError, 0)


def _reasons(protos: list[Proto]) -> Iterable[tuple[str, str]]:
    """Every reason with its comment, in the order of the proto."""
    for proto in protos:
        for at, enum in enumerate(proto.file.enum_type):
            for index, value in enumerate(enum.value if enum.name == "ErrorReason" else ()):
                if value.number:
                    comment = proto.comment(_FILE_ENUMS, at, _ENUM_VALUES, index)
                    yield value.name.removeprefix("ERROR_REASON_"), comment


def _retry(reason: str, code: str) -> str:
    return _RETRY.get(reason, "yes, the client does" if code in _RETRIED_CODES else "no")


def _tree(cls: type[CrystalMeshError], depth: int) -> Iterator[str]:
    first_line = (cls.__doc__ or "").strip().splitlines()[0]
    group = "" if "reason" in vars(cls) and cls.reason else f": {first_line}"
    yield f"{'  ' * depth}- `{cls.__name__}`{group}"
    for child in cls.__subclasses__():
        yield from _tree(child, depth + 1)


if __name__ == "__main__":
    sys.exit(main())
