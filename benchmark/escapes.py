"""Known ways out of a container, by program and version. Facts of November 2026; a version that is newer than all of them is not
proven safe, only not known to be unsafe.

Sources: the advisories of the projects themselves (opencontainers/runc, containers/crun, containers/podman, apptainer/apptainer)
and NVIDIA's security bulletins, by the numbers given.
"""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

Version = tuple[tuple[int, ...], tuple[int, int]]


@dataclass(frozen=True)
class Escape:
    """One vulnerability, and the first version of each maintained branch that is free of it."""

    id: str
    """CVE number."""
    program: str
    """runc, crun, podman, apptainer, nvidia-container-toolkit or nvidia-driver."""
    fixed: tuple[str, ...]
    """First fixed versions, one a branch; older branches that are not named here never got a fix."""
    what: str
    """What an image or a container can do with it."""
    branch: int = 2
    """How many numbers of a version name its branch."""


ESCAPES = (
    Escape("CVE-2024-21626", "runc", ("1.1.12",), "an image reaches the host's files through its working directory"),
    Escape(
        "CVE-2025-31133",
        "runc",
        ("1.2.8", "1.3.3", "1.4.0-rc.3"),
        "a container writes to the host's /proc (masked paths)",
    ),
    Escape(
        "CVE-2025-52565",
        "runc",
        ("1.2.8", "1.3.3", "1.4.0-rc.3"),
        "a container writes to the host's /proc (/dev/console)",
    ),
    Escape("CVE-2025-52881", "runc", ("1.2.8", "1.3.3", "1.4.0-rc.3"), "writes to /proc are led elsewhere"),
    Escape(
        "CVE-2026-41579",
        "runc",
        ("1.3.6", "1.4.3", "1.5.0-rc.3"),
        "an image with a link at /dev writes a little on the host",
    ),
    Escape("CVE-2025-24965", "crun", ("1.20",), "an image makes or changes files of the host (krun handler)"),
    Escape("CVE-2026-55686", "podman", ("5.7.1",), "an image makes folders on the host through a link in its WORKDIR"),
    Escape("CVE-2023-30549", "apptainer", ("1.1.8",), "an image attacks the kernel's ext4 (setuid installations)"),
    Escape(
        "CVE-2024-0132", "nvidia-container-toolkit", ("1.16.2",), "an image reaches the host's files (bulletin 5582)"
    ),
    Escape(
        "CVE-2025-23359", "nvidia-container-toolkit", ("1.17.4",), "an image reaches the host's files (second finding)"
    ),
    Escape(
        "CVE-2025-23266",
        "nvidia-container-toolkit",
        ("1.17.8",),
        "an image runs code as root by LD_PRELOAD (bulletin 5659)",
    ),
    Escape(
        "CVE-2026-24260",
        "nvidia-container-toolkit",
        ("1.19.1",),
        "a race gives an image the host's rights (bulletin 5850)",
    ),
    Escape(
        "CVE-2026-24187",
        "nvidia-driver",
        ("535.309.01", "580.159.03", "590.48.01", "595.71.05"),
        "code in a container with a GPU attacks the kernel module (bulletin 5821)",
        branch=1,
    ),
)
"""The table; `affecting` reads it."""

VERSION = re.compile(r"(\d+(?:\.\d+)+)(?:-rc\.?(\d+))?")


def parse(text: str) -> Version | None:
    """The first version in a text, to be compared; None when there is none. A release candidate is before its release."""
    match = VERSION.search(text)
    if match is None:
        return None
    numbers = tuple(int(part) for part in match[1].split("."))
    return (*numbers, *[0] * (4 - len(numbers))), (0, int(match[2])) if match[2] else (1, 0)


def affected(version: Version, escape: Escape) -> bool:
    """Whether a version has the vulnerability: older than the fix of its branch, or of a branch that got none."""
    fixes = [found for text in escape.fixed if (found := parse(text)) is not None]
    for fix in fixes:
        if version[0][: escape.branch] == fix[0][: escape.branch]:
            return version < fix
    return version < max(fixes)


def affecting(
    program: str,
    text: str,
    backported: Callable[[str], bool] = lambda _: False,
    table: Iterable[Escape] = ESCAPES,
) -> list[Escape]:
    """The vulnerabilities of a program by what it says of its version; empty when it says none.

    Distributions fix old versions without a new number: `backported` says of a CVE whether theirs did.
    """
    version = parse(text)
    if version is None:
        return []
    return [e for e in table if e.program == program and affected(version, e) and not backported(e.id)]


def distribution_fixed(package: str, documentation: Path = Path("/usr/share/doc")) -> Callable[[str], bool]:
    """A function that says whether the distribution's changelog of a package names a CVE, which it does when it is fixed."""
    text = ""
    for path in sorted((documentation / package).glob("changelog.Debian*")):
        try:
            raw = path.read_bytes()
            text += (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")
        except (OSError, EOFError, gzip.BadGzipFile):
            continue
    if not text:
        try:
            done = subprocess.run(["rpm", "-q", "--changelog", package], capture_output=True, timeout=30)
            text = done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
        except (OSError, subprocess.TimeoutExpired):
            text = ""
    return lambda id: re.search(rf"\b{re.escape(id)}\b", text) is not None
