"""Secret keys: made once, for their owner's eyes, and the same for all who ask at the same moment."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from benchmark import secret
from benchmark.errors import DataError, InfrastructureError


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "some.key"
    before = os.umask(0)
    try:
        key = secret.load_key(path)
    finally:
        os.umask(before)
    assert len(key) == 32 and path.read_text() == key.hex() + "\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret.load_key(path) == key != secret.load_key(tmp_path / "other.key")
    assert [p.name for p in path.parent.iterdir()] == ["some.key"], "nothing is left beside it"


def _ask(path: Path, gate: Barrier, answers: multiprocessing.Queue[bytes]) -> None:
    gate.wait()
    answers.put(secret.load_key(path))


def test_all_who_ask_at_once_get_the_same_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for attempt in range(5):
        path, gate, answers = tmp_path / str(attempt) / "key", context.Barrier(6), context.Queue()
        asking = [context.Process(target=_ask, args=(path, gate, answers)) for _ in range(6)]
        for process in asking:
            process.start()
        found = {answers.get(timeout=60) for _ in asking}
        for process in asking:
            process.join()
        assert found == {secret.load_key(path)}
        assert [p.name for p in path.parent.iterdir()] == ["key"]


def test_a_key_that_came_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "key", Path.hardlink_to

    def late(self: Path, target: Path) -> None:
        self.write_text("ab" * 32)
        link(self, target)

    monkeypatch.setattr(Path, "hardlink_to", late)
    assert secret.load_key(path) == bytes.fromhex("ab" * 32)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_holds_keys_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    key = secret.load_key(tmp_path / "key")
    assert len(key) == 32 and secret.load_key(tmp_path / "key") == key
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("code", ["ENOSPC", "EACCES", "EROFS"])
def test_a_disk_that_refuses_leaves_no_key_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(getattr(errno, code), code)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InfrastructureError) as caught:
        secret.load_key(tmp_path / "key")
    assert caught.value.code == ("no_space" if code == "ENOSPC" else "read_only")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"short", b"g" * 64, b"a" * 63, b"a" * 65, b"A" * 64, b"\xff" * 64])
def test_what_is_no_key_is_never_taken_for_one_nor_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"holds no key; expected 64 hexadecimal digits\. Put it back"):
        secret.load_key(path)
    assert path.read_bytes() == content


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no key"):
        secret.load_key(tmp_path)


def test_keyed_words_are_hmac_by_its_definition() -> None:
    """RFC 2104 written out: H(K ^ opad, H(K ^ ipad, text)), the key filled up with zeros to a block."""
    key, words = bytes(range(32)), ("case", "toy", "ä")
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + b"case\0toy\0" + "ä".encode()).digest()
    assert secret.keyed(key, *words) == hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).hexdigest()
    assert len({secret.keyed(key, "a", "b"), secret.keyed(key, "ab"), secret.keyed(b"\1" * 32, "a", "b")}) == 3
