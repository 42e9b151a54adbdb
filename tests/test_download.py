"""Package files as a source: against a package folder, a package index on this machine, and a make-believe apt."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark import download
from benchmark.download import PackageFile, cache_folder, extract, fetch
from benchmark.errors import InfrastructureError

WHEEL = "radbench_made_up-1.0-py3-none-any.whl"
SDIST = "radbench_made_up-1.0.tar.gz"
CONTENT = b"an image" * 1000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_bytes() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("made_up/data/image.bin", CONTENT)
        info = "radbench_made_up-1.0.dist-info"
        packed.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: radbench-made-up\nVersion: 1.0\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    return out.getvalue()


def tar_bytes(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as packed:  # type: ignore[call-overload]
        for name, data in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            packed.addfile(item, io.BytesIO(data))
    return out.getvalue()


def sdist_bytes(trace: Path) -> bytes:
    """A source archive whose build leaves a trace: fetching must not run it."""
    build = f"open({str(trace)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='radbench-made-up', version='1.0')\n"
    root = "radbench_made_up-1.0"
    files = {
        f"{root}/PKG-INFO": b"Metadata-Version: 2.1\nName: radbench-made-up\nVersion: 1.0\n",
        f"{root}/setup.py": build.encode(),
        f"{root}/data/image.bin": CONTENT,
    }
    return tar_bytes(files)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel and a source archive, the only place that pip looks at."""
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / WHEEL).write_bytes(wheel_bytes())
    (folder / SDIST).write_bytes(sdist_bytes(tmp_path / "was_built"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def pinned(kind: str, folder: Path) -> PackageFile:
    name = WHEEL if kind == "wheel" else SDIST
    return PackageFile(kind, "radbench-made-up", "1.0", name, sha((folder / name).read_bytes()))  # type: ignore[arg-type]


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if "partial" in path.name]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_fetched_once_then_from_the_cache(
    kind: str, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    file, cache = pinned(kind, packages), tmp_path / "cache"
    path = fetch(file, cache, said.append)
    assert path == cache / "packages" / file.filename
    assert path.read_bytes() == (packages / file.filename).read_bytes()
    assert said == ["fetching radbench-made-up 1.0"]
    assert not leftovers(cache)
    assert not (tmp_path / "was_built").exists()  # no code of the package ran

    def never(*_: object) -> None:
        raise AssertionError("asked pip again")

    monkeypatch.setattr(download, "_run", never)
    assert fetch(file, cache, said.append) == path
    assert len(said) == 1


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_another_file_than_the_pinned_one_is_refused_and_not_kept(kind: str, packages: Path, tmp_path: Path) -> None:
    file, cache = pinned(kind, packages), tmp_path / "cache"
    if kind == "wheel":
        with zipfile.ZipFile(packages / WHEEL, "a") as packed:
            packed.writestr("made_up/extra.txt", "tampered")
    else:
        (packages / SDIST).write_bytes(sdist_bytes(tmp_path / "elsewhere"))
    with pytest.raises(InfrastructureError) as caught:
        fetch(file, cache)
    assert caught.value.code == "checksum"
    assert file.sha256 in caught.value.sentence
    assert not (cache / "packages" / file.filename).exists()
    assert not leftovers(cache)


def test_a_damaged_file_in_the_cache_is_fetched_again(packages: Path, tmp_path: Path) -> None:
    file, cache = pinned("wheel", packages), tmp_path / "cache"
    path = fetch(file, cache)
    path.write_bytes(path.read_bytes()[:100])
    said: list[str] = []
    assert fetch(file, cache, said.append).read_bytes() == (packages / WHEEL).read_bytes()
    assert said


def test_what_an_interrupted_download_left_is_removed(packages: Path, tmp_path: Path) -> None:
    file, cache = pinned("wheel", packages), tmp_path / "cache"
    litter = cache / "packages" / f".{WHEEL}.partial" / WHEEL
    litter.parent.mkdir(parents=True)
    litter.write_bytes(b"half of a fi")
    assert fetch(file, cache).read_bytes() == (packages / WHEEL).read_bytes()
    assert not leftovers(cache)


def test_a_file_put_there_by_hand_serves(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cache = pinned("sdist", packages), tmp_path / "cache"
    (cache / "packages").mkdir(parents=True)
    shutil.copy(packages / SDIST, cache / "packages" / SDIST)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    assert fetch(file, cache).exists()


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_no_registry_is_one_plain_sentence(kind: str, packages: Path, tmp_path: Path) -> None:
    file = pinned(kind, packages)
    (packages / file.filename).unlink()
    with pytest.raises(InfrastructureError) as caught:
        fetch(file, tmp_path / "cache")
    assert caught.value.code == "no_registry"
    assert "radbench-made-up 1.0 could not be fetched with pip" in caught.value.sentence
    assert "\n" not in caught.value.sentence
    assert "Traceback" not in caught.value.sentence
    assert not leftovers(tmp_path / "cache")


@contextlib.contextmanager
def index_of(folder: Path, root: Path) -> Iterator[str]:
    """A package index on this machine that offers the files of a folder; gives its address."""
    page = root / "simple" / "radbench-made-up"
    page.mkdir(parents=True)
    links = "".join(f'<a href="{path.name}">{path.name}</a>' for path in sorted(folder.iterdir()))
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    for path in folder.iterdir():
        shutil.copy(path, page / path.name)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_configured_index_is_asked(
    kind: str, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    with index_of(packages, tmp_path / "www") as address:
        monkeypatch.setenv("PIP_INDEX_URL", address)
        file = pinned(kind, packages)
        assert fetch(file, tmp_path / "cache").read_bytes() == (packages / file.filename).read_bytes()


def test_unreachable_index(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")  # nobody listens there
    with pytest.raises(InfrastructureError) as caught:
        fetch(pinned("sdist", packages), tmp_path / "cache")
    assert caught.value.code == "no_registry"


def test_two_processes_fetch_a_file_once(packages: Path, tmp_path: Path) -> None:
    file, cache = pinned("wheel", packages), tmp_path / "cache"
    code = (
        "import sys; from pathlib import Path; from benchmark.download import *\n"
        f"fetch(PackageFile(*{(file.kind, file.name, file.version, file.filename, file.sha256)!r}), Path(sys.argv[1]), print)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert b"".join(said).count(b"fetching") == 1


# Debian packages


def deb(folder: Path, version: str, data: bytes) -> Path:
    """A Debian package made with dpkg-deb."""
    root = folder / f"root-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: made-up\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    (root / "usr" / "share").mkdir(parents=True)
    (root / "usr" / "share" / "image.bin").write_bytes(data)
    path = folder / f"made-up_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(path)], check=True, capture_output=True)
    return path


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="this machine has no dpkg-deb")


def make_believe_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put an apt-get in front of the real one; it logs its arguments."""
    tools = folder / "tools"
    tools.mkdir()
    log = folder / "apt.log"
    (tools / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {log}\n{script}\n')
    (tools / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return log


@needs_dpkg
def test_debian_package_and_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = deb(tmp_path, "1.0-1", CONTENT)
    make_believe_apt(tmp_path, monkeypatch, f"cp {package} .")
    file = PackageFile("deb", "made-up", "1.0-1", package.name, sha(package.read_bytes()))
    path = fetch(file, tmp_path / "cache")
    assert path == tmp_path / "cache" / "packages" / package.name
    image = extract(path, "usr/share/image.bin", tmp_path / "cache" / "image.bin", sha(CONTENT))
    assert image.read_bytes() == CONTENT
    assert not leftovers(tmp_path / "cache")


@needs_dpkg
def test_another_release_of_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its version of the package is taken as apt gives it; the image in it has to be the pinned one all the same."""
    pinned_package, other = deb(tmp_path, "1.0-1", CONTENT), deb(tmp_path, "1.0-2", CONTENT)
    log = make_believe_apt(tmp_path, monkeypatch, f"cp {other} .")
    file = PackageFile("deb", "made-up", "1.0-1", pinned_package.name, sha(pinned_package.read_bytes()))
    cache = tmp_path / "cache"
    path = fetch(file, cache)
    assert path.name == other.name
    assert fetch(file, cache) == path  # and it is not fetched again
    assert log.read_text().count("download") == 1
    assert extract(path, "usr/share/image.bin", cache / "image.bin", sha(CONTENT)).exists()
    with pytest.raises(InfrastructureError, match="sha256"):
        extract(path, "usr/share/image.bin", cache / "other.bin", sha(b"something else"))


@needs_dpkg
def test_tampered_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = deb(tmp_path, "1.0-1", CONTENT)
    make_believe_apt(tmp_path, monkeypatch, f"cp {package} .")
    with pytest.raises(InfrastructureError) as caught:
        fetch(PackageFile("deb", "made-up", "1.0-1", package.name, sha(b"")), tmp_path / "cache")
    assert caught.value.code == "checksum"
    assert not (tmp_path / "cache" / "packages" / package.name).exists()


@needs_dpkg
def test_without_package_lists_apt_gets_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = deb(tmp_path, "1.0-1", CONTENT)
    script = f"""
case "$*" in
  *update*) ls -d lists/partial > /dev/null && touch lists/known ;;
  *download*) test -e lists/known || {{ echo "E: Unable to locate package made-up" >&2; exit 100; }}; cp {package} . ;;
esac"""
    log = make_believe_apt(tmp_path, monkeypatch, script)
    file = PackageFile("deb", "made-up", "1.0-1", package.name, sha(package.read_bytes()))
    assert fetch(file, tmp_path / "cache").exists()
    assert [line.split()[-1] for line in log.read_text().splitlines()] == ["made-up", "update", "made-up"]
    assert "Dir::State::lists=" in log.read_text().splitlines()[1]


@needs_dpkg
def test_apt_cannot_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_believe_apt(tmp_path, monkeypatch, 'echo "E: Unable to locate package made-up" >&2; exit 100')
    with pytest.raises(InfrastructureError) as caught:
        fetch(PackageFile("deb", "made-up", "1", "made-up_1_all.deb", ""), tmp_path / "cache")
    assert caught.value.code == "no_registry"
    assert "Unable to locate package" in caught.value.sentence


def test_no_apt_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfrastructureError) as caught:
        fetch(PackageFile("deb", "made-up", "1", "made-up_1_all.deb", ""), tmp_path / "cache")
    assert caught.value.code == "no_registry"
    assert "apt-get" in caught.value.sentence


# Out of archives


def test_extract_from_wheel_and_source_archive(packages: Path, tmp_path: Path) -> None:
    for archive, member in ((WHEEL, "made_up/data/image.bin"), (SDIST, "*/data/image.bin")):
        target = tmp_path / "out" / f"{archive}.bin"
        assert extract(packages / archive, member, target, sha(CONTENT)).read_bytes() == CONTENT
        before = target.stat().st_mtime_ns
        (packages / archive).unlink()  # the image is there, so the archive is not needed any more
        assert extract(packages / archive, member, target, sha(CONTENT)).stat().st_mtime_ns == before
    assert not leftovers(tmp_path / "out")


def test_extract_refuses_the_wrong_image_and_mends_a_damaged_one(packages: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "image.bin"
    with pytest.raises(InfrastructureError) as caught:
        extract(packages / WHEEL, "made_up/data/image.bin", target, sha(b"another"))
    assert caught.value.code == "checksum"
    assert not target.exists()
    target.write_bytes(b"damaged")
    assert extract(packages / WHEEL, "made_up/data/image.bin", target, sha(CONTENT)).read_bytes() == CONTENT


@pytest.mark.parametrize("archive", [WHEEL, SDIST])
def test_extract_from_a_broken_or_unexpected_archive(archive: str, packages: Path, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError) as caught:
        extract(packages / archive, "not/there.bin", tmp_path / "image.bin", sha(CONTENT))
    assert caught.value.code == "checksum"
    (packages / archive).write_bytes((packages / archive).read_bytes()[:200])
    with pytest.raises(InfrastructureError) as caught:
        extract(packages / archive, "*/data/image.bin", tmp_path / "image.bin", sha(CONTENT))
    assert caught.value.code == "checksum"
    assert not leftovers(tmp_path)


def test_members_cannot_leave_the_target(tmp_path: Path) -> None:
    archive = tmp_path / "bad.tar.gz"
    archive.write_bytes(tar_bytes({"../../evil.bin": CONTENT, "data/image.bin": CONTENT}))
    target = tmp_path / "a" / "b" / "image.bin"
    assert extract(archive, "../../evil.bin", target, sha(CONTENT)) == target
    assert not (tmp_path / "evil.bin").exists()


def test_full_disk_is_named(packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(InfrastructureError) as caught:
        extract(packages / WHEEL, "made_up/data/image.bin", tmp_path / "out" / "image.bin", sha(CONTENT))
    assert caught.value.code == "no_space"
    assert not leftovers(tmp_path / "out")


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RADBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("RADBENCH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "radbench"
