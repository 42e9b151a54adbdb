"""Whose containers, mounts and scratch folders are whose: what a killed harness left behind is removed by the next one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from benchmark.container import shell
from benchmark.container.commands import OWNER_LABEL
from benchmark.container.records import Runtime
from benchmark.errors import InfrastructureError

PREFIX = "radbench-scratch-"
"""Beginning of the names of scratch folders."""
OWNER_FILE = "owner"
FIELD_STARTTIME = 19
"""Index of the start time in /proc/<pid>/stat after the command's name."""


def owner(pid: int | None = None) -> str:
    """`<pid>.<start time>` of a process, which no later process shares; empty when it does not exist."""
    number = pid or os.getpid()
    try:
        text = Path(f"/proc/{number}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return f"{number}.{text.rsplit(')', 1)[1].split()[FIELD_STARTTIME]}"


def alive(name: str) -> bool:
    """Whether the process of that owner name still runs."""
    number = name.split(".")[0]
    return number.isdigit() and owner(int(number)) == name


def mark(folder: Path) -> None:
    """Write into a scratch folder whose it is."""
    (folder / OWNER_FILE).write_text(owner(), "utf-8")


def sweep(runtime: Runtime) -> list[str]:
    """Remove containers and scratch folders of harnesses that no longer run; what was removed."""
    removed = []
    if runtime.name != "apptainer":
        with contextlib.suppress(InfrastructureError):
            form = f'{{{{.ID}}}} {{{{index .Labels "{OWNER_LABEL}"}}}}'
            if runtime.name == "docker":
                form = f'{{{{.ID}}}} {{{{.Label "{OWNER_LABEL}"}}}}'
            done = shell.call(runtime, "ps", "--all", f"--filter=label={OWNER_LABEL}", f"--format={form}")
            for line in done.stdout.decode("utf-8", "replace").splitlines():
                id, _, whose = line.partition(" ")
                if id and whose and not alive(whose):
                    shell.call(runtime, "rm", "--force", "--volumes", id, check=False)
                    removed.append(id)
    return removed + sweep_folders()


def sweep_folders() -> list[str]:
    """Remove scratch folders of harnesses that no longer run; their paths."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            whose = (folder / OWNER_FILE).read_text("utf-8")
            if not alive(whose):
                area = folder / "output"
                if os.path.ismount(area):
                    shell.run(["umount", "--lazy", str(area)], 60)
                shutil.rmtree(folder, ignore_errors=True)
                removed.append(str(folder))
    return removed
