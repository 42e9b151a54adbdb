"""A folder for /output that cannot grow beyond its limit while the container runs.

As root it is a file system of that size in a file, mounted without devices, set-user-id and programs: the kernel refuses the byte
too much and the inode too many at once, and page cache that can be given back does not count as the model's memory (a tmpfs would).
Without root nothing can be mounted, and user quotas belong to the administrator. There the folder is a plain one that is looked at
ten times a second and the container is killed when it holds too much; RLIMIT_FSIZE bounds each file meanwhile. The excess is
then what a disk writes in a tenth of a second, not nothing.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

from benchmark.container import shell
from benchmark.container.collect import MOST_ENTRIES, empty
from benchmark.errors import InfrastructureError

OVERHEAD_BYTES = 8 * 2**20
"""Room for the file system's own tables; `collect` counts the bytes that are the model's."""
SCAN_ENTRIES = 4 * MOST_ENTRIES
INODES = 4 * MOST_ENTRIES
"""More than may be handed in, so that the refusal is `collect`'s sentence and not a surprise of the model's."""
COMMAND_SECONDS = 60.0


class OutputArea:
    """The folder `path`, for the user `uid`:`gid`; `close` removes it with all that is in it."""

    def __init__(self, folder: Path, limit_mb: int, uid: int, gid: int, *, mount: bool | None = None) -> None:
        """`mount` says whether to use a file system of its own; by default as root, where it works.

        Raises `InfrastructureError('engine_failed')` when `mount` is true and it does not work.
        """
        self.path = folder / "output"
        self.limit_bytes = limit_mb * 2**20
        self._file = folder / "output.ext4"
        self._user, self._mode = (uid, gid), mount
        self.mounted = False
        self._make()

    def _make(self) -> None:
        (uid, gid), mount = self._user, self._mode
        self.path.mkdir(parents=True)
        root = os.geteuid() == 0
        if mount or (mount is None and root):
            problem = self._mount(uid, gid)
            if problem and mount:
                self.close()
                raise InfrastructureError("engine_failed", f"no file system could be mounted for /output ({problem})")
        if not self.mounted:
            if root:
                os.chown(self.path, uid, gid)
            # What is in it belongs to the container's user, who is us or, for Docker with a daemon, given our number.
            self.path.chmod(0o700)

    def _mount(self, uid: int, gid: int) -> str:
        """Make and mount the file system; a problem in words, or nothing."""
        with self._file.open("wb") as handle:
            handle.truncate(self.limit_bytes + self.limit_bytes // 32 + OVERHEAD_BYTES)
        options = f"lazy_itable_init=1,nodiscard,root_owner={uid}:{gid}"
        make = [
            "mkfs.ext4",
            "-q",
            "-F",
            "-O",
            "^has_journal,^resize_inode",
            "-m",
            "0",
            "-N",
            str(INODES),
            "-E",
            options,
        ]
        for command in (
            [*make, str(self._file)],
            ["mount", "-o", "loop,nosuid,nodev,noexec", str(self._file), str(self.path)],
        ):
            try:
                done = shell.run(command, COMMAND_SECONDS)
            except (OSError, subprocess.TimeoutExpired) as error:
                problem = str(error)
            else:
                problem = shell.last_line(done.stderr) if done.returncode else ""
            if problem:
                self._file.unlink(missing_ok=True)
                return problem
        self.mounted = True
        self.empty()
        return ""

    def excess(self) -> bool:
        """Whether a folder without a file system of its own holds too much; cheap, and never more than some thousand entries."""
        if self.mounted:
            return False
        total = entries = 0
        stack = [str(self.path)]
        while stack:
            with contextlib.suppress(OSError), os.scandir(stack.pop()) as found:
                for entry in found:
                    entries += 1
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            stack.append(entry.path)
                    if total > self.limit_bytes + OVERHEAD_BYTES or entries > SCAN_ENTRIES:
                        return True
        return False

    def empty(self) -> None:
        """Remove all that is in it."""
        empty(self.path)

    def renew(self) -> None:
        """Make it anew while no container has it. Emptying alone would leave permissions, times, attributes and the room that
        the folder's own list once took, which one case could write and the next one read. Raises as `close`."""
        self.close()
        self._make()

    def close(self) -> None:
        """Remove it. Raises `InfrastructureError('engine_failed')` when it stays mounted."""
        for attempt in range(20):
            if not self.mounted:
                break
            done = shell.run(["umount", str(self.path)], COMMAND_SECONDS)
            if done.returncode == 0 or not os.path.ismount(self.path):
                self.mounted = False
            elif attempt == 19:
                shell.run(["umount", "--lazy", str(self.path)], COMMAND_SECONDS)
                raise InfrastructureError("engine_failed", f"{self.path}: {shell.last_line(done.stderr)}")
            else:
                time.sleep(0.1)  # the engine lets go of its copy of the mount a moment after the container ended
        if self.path.exists():
            empty(self.path)
            self.path.rmdir()
        self._file.unlink(missing_ok=True)
