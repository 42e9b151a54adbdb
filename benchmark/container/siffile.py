"""Reading Apptainer's SIF files as a stranger's data, without Apptainer: what they hold, for whom, and whether it can be checked.

A SIF file is a header, a table of descriptors, and the objects that these point to: the root file system (the primary partition),
and small JSON objects that Apptainer writes when it builds, among them the configuration of the image that it was built from.
Layout: version 01 of the format, little-endian, without padding. Nothing is unpacked here.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from benchmark.errors import SubmissionError

HEADER = struct.Struct("<32s10s3s3s16s8q")
"""Launch script, magic, version, architecture, id; created, modified, descriptors free and in all, their offset and size, data offset
and size."""
DESCRIPTOR = struct.Struct("<i?3I7q128s384s")
"""Type, used, id, group, link; offset, size, padded size, created, modified, user, group; name, extra."""
PARTITION = struct.Struct("<2i3s")
"""Beginning of a partition's extra field: file system, kind of partition, architecture."""
MAGIC, VERSION = b"SIF_MAGIC", b"01"
PARTITION_TYPE, JSON_TYPE = 0x4004, 0x4006
PRIMARY, SQUASHFS, ENCRYPTED = 2, 1, 4
ARCHITECTURES = {
    b"01": "386",
    b"02": "amd64",
    b"03": "arm",
    b"04": "arm64",
    b"06": "ppc64le",
    b"11": "s390x",
    b"12": "riscv64",
}
OCI_CONFIG, METADATA = "oci-config.json", "inspect-metadata.json"
"""Names of the objects that say what the image was made from, and its labels and environment."""
MOST_DESCRIPTORS = 1024
JSON_BYTES = 4 * 2**20
ASSIGNMENT = re.compile(r"\b([A-Za-z_]\w*):?=")
"""A shell's `NAME=value`, also in `${NAME:=value}`."""


@dataclass(frozen=True)
class SifImage:
    """What a SIF file says of itself."""

    architecture: str
    """Of the root file system, as Go names it."""
    size: int
    """Bytes of the root file system, compressed."""
    labels: dict[str, str]
    """Labels."""
    environment: tuple[str, ...]
    """`NAME=value` of the image that it was built from, then `NAME=` of what the scripts set that run when it starts."""
    workdir: str = ""
    """Folder that the entry point starts in, where the image that it was built from names one."""

    @property
    def config(self) -> dict[str, Any]:
        """In the format of the OCI, as far as it goes. Whoever runs a SIF file is its user, so that it names none."""
        inner = {"Env": list(self.environment), "User": "caller", "Labels": self.labels, "WorkingDir": self.workdir}
        return {"os": "linux", "architecture": self.architecture, "config": inner}


def is_sif(path: Path) -> bool:
    """Whether a file is a SIF file, by its content."""
    with path.open("rb") as handle:
        handle.seek(32)
        return handle.read(len(MAGIC)) == MAGIC


def inspect(path: Path) -> SifImage:
    """What a SIF file holds. Raises `SubmissionError('image_unreadable')` when it is broken, or holds too little to be checked."""
    with path.open("rb") as handle:
        length = handle.seek(0, 2)
        objects = _descriptors(handle, length, path.name)
        primary = [o for o in objects if o.kind == PARTITION_TYPE and o.partition[1] == PRIMARY]
        if len(primary) != 1:
            raise _refusal(f"{path.name} holds {len(primary)} root file systems", "one, made by `apptainer build`")
        system, _, architecture = primary[0].partition
        if system == ENCRYPTED:
            raise _refusal(f"{path.name} is encrypted", "a file that can be looked into")
        if system != SQUASHFS:
            raise _refusal(
                f"{path.name} holds a file system of kind {system}", "squashfs, as `apptainer build` makes it"
            )
        read = {
            o.name: _json(handle, o, path.name)
            for o in objects
            if o.kind == JSON_TYPE and o.name in (OCI_CONFIG, METADATA)
        }
    if not read:
        raise _refusal(
            f"{path.name} says nothing of its labels and its environment, so that it cannot be checked",
            f"{OCI_CONFIG} or {METADATA} in it, as Apptainer 1.0 and later write",
        )
    config, attributes = read.get(OCI_CONFIG, {}), _attributes(read.get(METADATA, {}))
    labels = {
        str(k): str(v) for part in (config.get("Labels"), attributes.get("labels")) for k, v in _object(part).items()
    }
    listed = config.get("Env")
    scripts = "\n".join(str(text) for text in _object(attributes.get("environment")).values())
    environment = [str(item) for item in (listed if isinstance(listed, list) else [])]
    environment += [f"{name}=" for name in ASSIGNMENT.findall(scripts)]
    return SifImage(
        ARCHITECTURES.get(architecture[:2], architecture[:2].decode("ascii", "replace")),
        primary[0].size,
        labels,
        tuple(environment),
        str(config.get("WorkingDir") or ""),
    )


@dataclass(frozen=True)
class _Object:
    kind: int
    offset: int
    size: int
    name: str
    extra: bytes

    @property
    def partition(self) -> tuple[int, int, bytes]:
        system, kind, architecture = PARTITION.unpack_from(self.extra)
        return system, kind, architecture


def _descriptors(handle: BinaryIO, length: int, name: str) -> list[_Object]:
    """The table, every entry of which lies within the file."""
    handle.seek(0)
    head = handle.read(HEADER.size)
    if len(head) < HEADER.size or head[32 : 32 + len(MAGIC)] != MAGIC:
        raise _refusal(f"{name} is no SIF file", "a file made by `apptainer build`")
    _, _, version, _, _, _, _, _, total, offset, size, _, _ = HEADER.unpack(head)
    if version[:2] != VERSION:
        raise _refusal(f"{name} has version {version[:2]!r} of the format", "version 01")
    if not 0 < total <= MOST_DESCRIPTORS or size != total * DESCRIPTOR.size or not 0 < offset <= length - size:
        raise _refusal(f"{name} has a table of {total} objects in {size} bytes at {offset}", "a table within the file")
    handle.seek(offset)
    found = []
    for fields in DESCRIPTOR.iter_unpack(handle.read(size)):
        kind, used, _, _, _, start, extent, *_, label, extra = fields
        if used:
            if not (0 <= start <= length and 0 <= extent <= length - start):
                raise _refusal(f"{name} promises {extent} bytes at {start} and has {length}", "a whole file")
            found.append(_Object(kind, start, extent, label.split(b"\0")[0].decode("utf-8", "replace"), extra))
    return found


def _json(handle: BinaryIO, described: _Object, name: str) -> dict[str, Any]:
    if described.size > JSON_BYTES:
        raise _refusal(f"{described.name} in {name} has {described.size} bytes", f"at most {JSON_BYTES}")
    handle.seek(described.offset)
    try:
        return _object(json.loads(handle.read(described.size)))
    except (ValueError, RecursionError):
        raise _refusal(f"{described.name} in {name} is not JSON", "a file made by `apptainer build`") from None


def _attributes(metadata: dict[str, Any]) -> dict[str, Any]:
    return _object(_object(metadata.get("data")).get("attributes"))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _refusal(found: str, expected: str) -> SubmissionError:
    return SubmissionError(
        "image_unreadable",
        found,
        expected=expected,
        action="Build it with `apptainer build model.sif docker-archive:model.tar`.",
    )
