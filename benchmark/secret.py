"""Secret keys of a house, and what is made under one: names that only who holds the key can make again, or test a guess of.

A plain hash of a patient's number or of a submission's name would hide nothing, since all of them can be tried. Each use has a key of
its own: `federation.key`, `secrets/deidentification.key`, `store/embargo.key` in the work folder.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from benchmark import atomic
from benchmark.errors import DataError


def load_key(path: Path) -> bytes:
    """The 32 bytes in this file; made when there is none, readable by its owner alone, and never replaced.

    Raises `DataError('record_invalid')` when the file is no key, and `InfrastructureError`: `no_space`, `read_only`.
    """
    if not path.exists():
        put_key(path, secrets.token_bytes(32))
    try:
        text = path.read_bytes().decode("ascii", errors="replace").strip()
    except OSError as error:
        text = os.strerror(error.errno or 0)
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise DataError(
            "record_invalid",
            f"{path} holds no key",
            expected="64 hexadecimal digits",
            action="Put it back from a copy.",
        )
    return bytes.fromhex(text)


def put_key(path: Path, key: bytes) -> None:
    """Write a key to `path`, readable by its owner alone, unless there is one already or another process writes one meanwhile.

    Raises `InfrastructureError`: `no_space`, `read_only`.
    """
    with atomic.refusals(path):
        _write(path, key)


def _write(path: Path, key: bytes) -> None:
    """Write it beside `path` and give it that name, which replaces nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(key.hex() + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        try:
            path.hardlink_to(partial)  # unlike a rename it does not replace a key
        except FileExistsError:
            return
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
                raise
            partial.replace(path)  # a file system without links, such as that of a memory stick
        atomic.sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def keyed(key: bytes, *words: str) -> str:
    """HMAC-SHA256 of the words, joined by NUL, as 64 hexadecimal digits."""
    return hmac.new(key, "\0".join(words).encode(), hashlib.sha256).hexdigest()
