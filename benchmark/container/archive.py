"""Reading an image archive as a stranger's data, before any engine sees it: what it holds, and how much it unpacks to.

Two formats: `docker save` (manifest.json at the top) and OCI image layout (index.json). Both may be compressed with gzip. One
pass over the archive, in a stream: small members are kept, large ones only counted, so neither a bomb nor a lying header costs
memory or disk.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from benchmark.errors import SubmissionError

SMALL_BYTES = 4 * 2**20
"""Manifests and configurations are smaller than this."""
MOST_SMALL = 2000
"""So many small members are kept; more is no image."""
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass(frozen=True)
class ArchiveImage:
    """The one image of an archive."""

    kind: Literal["docker-archive", "oci-archive"]
    digest: str
    """`sha256:…` of its configuration."""
    config: dict[str, Any]
    """Its configuration as written, in the format of the OCI."""
    tags: tuple[str, ...]
    """Names that loading it would set."""
    size: int
    """Bytes that its members unpack to."""
    annotations: tuple[str, ...] = ()
    """Names of its manifest's annotations; only the OCI's format has them."""


class _Bounded:
    """A stream that says no once more than `most` bytes were read through it."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, most: int) -> None:
        self.stream, self.left, self.most = stream, most, most

    def read(self, count: int = -1) -> bytes:
        data = self.stream.read(count)
        self.left -= len(data)
        if self.left < 0:
            raise SubmissionError("image_too_large", f"the archive unpacks to more than {self.most // 2**20} MiB")
        return data


@dataclass
class _Contents:
    small: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    size: int = 0


def inspect(path: Path, most_bytes: int) -> ArchiveImage:
    """What an archive holds.

    Raises `SubmissionError`: `image_unreadable` (no image, several, damaged), `image_too_large` (unpacks to more than
    `most_bytes`), `image_platform` (none of its images is linux/amd64).
    """
    try:
        with path.open("rb") as handle:
            zipped = handle.read(2) == GZIP
        with contextlib.ExitStack() as stack:
            plain = stack.enter_context(path.open("rb"))
            stream = stack.enter_context(gzip.GzipFile(fileobj=plain)) if zipped else plain
            contents = _walk(_Bounded(stream, most_bytes + 64 * 2**20), most_bytes)
        if "manifest.json" in contents.small:
            return _docker(contents)
        if "index.json" in contents.small:
            return _oci(contents)
    except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SubmissionError(
            "image_unreadable", f"{path.name} cannot be read as an image archive ({type(error).__name__}: {error})"
        ) from None
    raise SubmissionError(
        "image_unreadable", f"{path.name} holds neither manifest.json nor index.json", expected="an image archive"
    )


def _walk(stream: _Bounded, most: int) -> _Contents:
    found = _Contents()
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            name = member.name.removeprefix("./")
            if not member.isfile():
                continue
            source = archive.extractfile(member)
            if source is None:
                raise ValueError(f"{name} has no content")
            if member.size <= SMALL_BYTES and len(found.small) < MOST_SMALL:
                data = source.read()
                found.small[name] = data
                found.hashes[name] = hashlib.sha256(data).hexdigest()
                found.size += _unpacked([data], most - found.size)
            else:
                found.size += _unpacked(iter(lambda s=source: s.read(2**20), b""), most - found.size)  # type: ignore[misc]
            if found.size > most:
                raise SubmissionError("image_too_large", f"the archive unpacks to more than {most // 2**20} MiB")
    return found


def _unpacked(chunks: Any, most: int) -> int:
    """Bytes of a member, decompressed where it is gzip; stops counting beyond `most`."""
    total = 0
    inflate = None
    for number, chunk in enumerate(chunks):
        if number == 0:
            if chunk[:4] == ZSTD:
                raise SubmissionError(
                    "image_unreadable",
                    "the archive holds a layer that is compressed with zstd",
                    expected="layers that are plain or compressed with gzip",
                )
            if chunk[:2] == GZIP:
                inflate = zlib.decompressobj(wbits=31)
        while chunk:
            if inflate is None:
                total += len(chunk)
                break
            total += len(inflate.decompress(chunk, 2**22))
            chunk = inflate.unconsumed_tail
            if inflate.eof and inflate.unused_data:  # a gzip file may be several in a row
                chunk, inflate = inflate.unused_data, zlib.decompressobj(wbits=31)
            if total > most:
                return total
    return total


def _docker(contents: _Contents) -> ArchiveImage:
    manifest = json.loads(contents.small["manifest.json"])
    if not isinstance(manifest, list) or len(manifest) != 1:
        count = len(manifest) if isinstance(manifest, list) else 0
        raise SubmissionError("image_unreadable", f"the archive holds {count} images", expected="one")
    name = manifest[0]["Config"]
    tags = tuple(str(tag) for tag in manifest[0].get("RepoTags") or ())
    return _image("docker-archive", contents, name, tags)


def _oci(contents: _Contents) -> ArchiveImage:
    manifests = json.loads(contents.small["index.json"])["manifests"]
    while manifests and manifests[0].get("mediaType") in INDEX_TYPES and len(manifests) == 1:
        manifests = json.loads(contents.small[_blob(manifests[0]["digest"])])["manifests"]
    real = [m for m in manifests if "vnd.docker.reference.type" not in (m.get("annotations") or {})]
    if len(real) > 1:
        real = [m for m in real if (m.get("platform") or {}).get("architecture") == "amd64"]
        if not real:
            raise SubmissionError("image_platform", "none of the archive's images is for amd64", expected="linux/amd64")
    if len(real) != 1:
        raise SubmissionError("image_unreadable", f"the archive holds {len(real)} images", expected="one")
    manifest = json.loads(contents.small[_blob(real[0]["digest"])])
    name = (real[0].get("annotations") or {}).get("org.opencontainers.image.ref.name")
    notes = tuple(str(key) for key in manifest.get("annotations") or {})
    return _image("oci-archive", contents, _blob(manifest["config"]["digest"]), (str(name),) if name else (), notes)


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _image(
    kind: Literal["docker-archive", "oci-archive"],
    contents: _Contents,
    name: str,
    tags: tuple[str, ...],
    annotations: tuple[str, ...] = (),
) -> ArchiveImage:
    config = json.loads(contents.small[name])
    if not isinstance(config, dict):
        raise ValueError("its configuration is not an object")
    digest = contents.hashes[name]
    named = name.rsplit("/", 1)[-1].removesuffix(".json")
    if named != digest:
        raise SubmissionError(
            "image_unreadable", "the archive's configuration does not have the hash that it is named by"
        )
    return ArchiveImage(kind, f"sha256:{digest}", config, tags, contents.size, annotations)
