"""One organiser's process at a time, without trusting clocks, and without `flock`, which some network file systems lack.

    <folder>/organiser.lock/000007.holder     who holds it: written once, whole, and never changed
                            000007.beat       a number that grows while the holder lives
                            000007.released   it was given back

Holders are numbered, and the highest number counts. To take the lease is to create the next number with `link`, which fails when
it exists, on NFS too; so of any number of processes that try at once one succeeds, and nobody ever removes what another one may
have just made. A number that a slow process created behind the back of a later one loses, since it looks again afterwards.

A holder is gone when its process is (same boot of the same machine, same process namespace: the process id is free, or was given
to a process that started at another time). A holder that cannot be looked up so (another machine, an earlier boot, a container,
another user where `/proc` hides those) is watched: a heartbeat that does not move for `stale_after` seconds *of the watcher's own
monotonic clock* is that of a dead one. No time of day is compared, so a clock that is set back neither kills a living holder nor
keeps a dead one alive.

A process that was held still for longer than that (a stopped job) finds `Lease.check` raising when it goes on.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from benchmark import atomic
from benchmark.contract import Record
from benchmark.errors import InfrastructureError

FOLDER = "organiser.lock"
HOLDER = re.compile(r"^(\d{6,})\.holder$")
STALE_AFTER = 60.0
"""Seconds without a heartbeat after which a holder that cannot be looked up is taken for dead."""
BEAT_EVERY = 5.0
"""Seconds between heartbeats."""
HUNG = 10
"""So many times longer a heartbeat may rest while its process can be seen to exist: it may be short of memory or processor."""
UNSEEN = "unseen"
"""Stands for the start of a process that exists and cannot be looked at, since it is another user's (a `/proc` that hides those)."""
KEEP = 3
"""Old numbers that stay, so that a slow process that looks around meanwhile sees at least one of the latest."""


class Owner(Record):
    """Who holds the lease."""

    owner: str
    """What it is, in a word or two."""
    host: str
    """Name of the machine."""
    pid: int
    """Process id, in its own namespace."""
    boot: str
    """Id of the machine's boot, and of the process namespace; empty where the system does not tell."""
    started: str
    """When the process started, in ticks since the boot, which tells it from a later one with the same id; empty if unknown."""
    since: str
    """When it took the lease, by its own clock, for people."""
    token: str
    """Random; no two holders share it."""

    def __str__(self) -> str:
        return f"{self.owner} (process {self.pid} on {self.host}, since {self.since})"


@dataclass(frozen=True)
class Surroundings:
    """What the lease knows of its process and its clocks; tests put their own in."""

    boot: Callable[[], str] = field(default=lambda: _boot())
    process: Callable[[int], str] = field(default=lambda pid: _start_of(pid))
    """When a process started; empty when there is none of that id, `UNSEEN` where that is not shown."""
    monotonic: Callable[[], float] = time.monotonic
    """Seconds that only grow, common to all processes of one boot."""
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    """Time of day, for people; nothing is decided by it."""


class Lease:
    """A lease that is held; made by `hold`."""

    def __init__(self, place: Path, number: int, owner: Owner, took_over: str, around: Surroundings) -> None:
        self.owner = owner
        """Who holds it: this process."""
        self.took_over = took_over
        """One sentence on the dead holder that it was taken from; empty when it was free."""
        self._place, self._number, self._around = place, number, around
        self._stop = threading.Event()
        self._count = 0
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Raise `InfrastructureError('busy')` when another process has taken the lease, because this one was held still."""
        last = _highest(self._place)
        if last != self._number:
            raise InfrastructureError(
                "busy",
                f"the lease of {self.owner} was taken over by {_who(self._place, last)} while this process was held still",
                action="Let the other one finish and start again.",
            )

    def beat(self) -> None:
        """Show that the holder lives. Written over the same bytes, so that a full disk does not stop it."""
        self._count += 1
        line = f"{self._count:020d} {self._around.monotonic():020.3f}\n".encode()
        descriptor = os.open(_file(self._place, self._number, "beat"), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, line, 0)
        finally:
            os.close(descriptor)

    def _start(self, every: float) -> None:
        self.beat()
        self._thread = threading.Thread(target=self._beat_on, args=(every,), name="lease", daemon=True)
        self._thread.start()

    def _beat_on(self, every: float) -> None:
        while not self._stop.wait(every):
            with contextlib.suppress(Exception):  # a disk or memory that comes back finds the heart beating
                self.beat()

    def _release(self) -> None:
        self._stop.set()
        if os.getpid() != self.owner.pid:  # a forked child leaves its parent's lease alone
            return
        if self._thread is not None:
            self._thread.join(timeout=5)
        with contextlib.suppress(OSError):
            _file(self._place, self._number, "released").touch()


@contextlib.contextmanager
def hold(
    folder: Path,
    owner: str = "radbench",
    *,
    stale_after: float = STALE_AFTER,
    beat_every: float = BEAT_EVERY,
    around: Surroundings | None = None,
) -> Iterator[Lease]:
    """Hold the organiser's lease on `folder` (the work folder) for the length of the block.

    A dead holder's is taken over, which `Lease.took_over` says. Whether a holder on another machine lives may take up to
    `stale_after` seconds to see; of one on this machine it is known at once. Raises `InfrastructureError`: `busy`, with who holds
    it since when; `no_space`; `read_only`.
    """
    around = around or Surroundings()
    place = folder / FOLDER
    with atomic.refusals(place):
        place.mkdir(parents=True, exist_ok=True)
        lease = _take(place, owner, stale_after, around)
        try:
            lease._start(beat_every)
        except BaseException:
            lease._release()
            raise
    try:
        yield lease
    finally:
        lease._release()


def holder(folder: Path) -> Owner | None:
    """Who has the lease on `folder`, alive or not; None when it was given back or never taken."""
    place = folder / FOLDER
    number = _highest(place)
    return None if _is_free(place, number) else _owner(place, number)


def _take(place: Path, owner: str, stale_after: float, around: Surroundings) -> Lease:
    me = Owner(
        owner=owner,
        host=socket.gethostname(),
        pid=os.getpid(),
        boot=around.boot(),
        started=around.process(os.getpid()),
        since=around.now().isoformat(timespec="seconds"),
        token=uuid.uuid4().hex,
    )
    while True:
        last = _highest(place)
        dead = "" if _is_free(place, last) else _why_dead(place, last, stale_after, around)
        if not dead and not _is_free(place, last):
            raise _busy(place, last)
        number = last + 1
        if not _claim(place, number, me):
            raise _busy(place, number)
        _file(place, number, "released").unlink(missing_ok=True)  # of a holder whose other files somebody deleted
        highest = _highest(place)
        if highest == number:
            break
        # We looked long ago and took a number that others had used up and cleared away.
        _file(place, number, "holder").unlink(missing_ok=True)
        if not _is_free(place, highest):
            raise _busy(place, highest)
    took_over = f"Took over from {_who(place, last)}: {dead}." if dead else ""
    _clear(place, number)
    return Lease(place, number, me, took_over, around)


def _is_free(place: Path, number: int) -> bool:
    return number < 0 or _file(place, number, "released").exists()


def _claim(place: Path, number: int, me: Owner) -> bool:
    """Create the holder's file, whole from the start; False when that number is taken."""
    target = _file(place, number, "holder")
    draft = place / f".{me.token}.partial"
    try:
        with draft.open("x", encoding="utf-8") as handle:
            handle.write(me.model_dump_json())
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(draft, target)
        except (FileExistsError, FileNotFoundError):  # another one has the number, or has cleared our draft away
            return False
        except OSError:
            return _claim_without_links(target, me)
        atomic.sync_folder(place)
        return True
    finally:
        draft.unlink(missing_ok=True)


def _claim_without_links(target: Path, me: Owner) -> bool:
    """For file systems without hard links: exclusive creation, after which a kill may leave a file without content."""
    try:
        with target.open("x", encoding="utf-8") as handle:
            handle.write(me.model_dump_json())
            handle.flush()
            os.fsync(handle.fileno())
    except FileExistsError:
        return False
    return True


def _why_dead(place: Path, number: int, stale_after: float, around: Surroundings) -> str:
    """Why the holder of that number is dead; empty when it lives."""
    owner = _owner(place, number)
    started = around.process(owner.pid) if owner is not None and owner.boot and owner.boot == around.boot() else UNSEEN
    if not started:
        return "its process is gone"
    if owner is not None and UNSEEN not in (started, owner.started):
        if started != owner.started:
            return f"its process is gone, and another one has the id {owner.pid}"
        beat = _beat(place, number)
        rested = around.monotonic() - beat[1] if beat else 0.0
        return f"it has not moved for {rested:.0f} s" if rested > HUNG * stale_after else ""
    first, begun = _beat(place, number), around.monotonic()
    while around.monotonic() - begun < stale_after:
        around.sleep(min(0.5, stale_after / 10))
        if _beat(place, number) != first or _highest(place) != number:
            return ""
        if _is_free(place, number):
            return ""
    return f"no heartbeat came for {stale_after:g} s"


def _busy(place: Path, number: int) -> InfrastructureError:
    return InfrastructureError(
        "busy",
        f"{place.parent} is held by {_who(place, number)}",
        action="Wait for it to end; a process that died is found out and its lease taken over.",
    )


def _who(place: Path, number: int) -> str:
    owner = _owner(place, number)
    return str(owner) if owner else "a process that did not write its name"


def _owner(place: Path, number: int) -> Owner | None:
    try:
        return Owner.model_validate_json(_file(place, number, "holder").read_bytes())
    except (OSError, ValidationError):
        return None


def _beat(place: Path, number: int) -> tuple[int, float] | None:
    """The holder's last heartbeat: its number, and its monotonic clock in seconds."""
    try:
        count, seconds = _file(place, number, "beat").read_text("ascii").split()
        return int(count), float(seconds)
    except (OSError, ValueError):
        return None


def _file(place: Path, number: int, what: str) -> Path:
    return place / f"{number:06d}.{what}"


def _numbers(place: Path) -> list[int]:
    try:
        return sorted(int(found[1]) for name in os.listdir(place) if (found := HOLDER.match(name)))  # noqa: PTH208
    except FileNotFoundError:
        return []


def _highest(place: Path) -> int:
    """The number that counts; -1 for none. Looked up twice, since a listing may miss what changes meanwhile."""
    return max([*_numbers(place), *_numbers(place)], default=-1)


def _clear(place: Path, number: int) -> None:
    """Remove what earlier holders left. Who still has a draft there finds the number taken."""
    for draft in place.glob(".*.partial"):
        with contextlib.suppress(OSError):
            draft.unlink()
    for old in _numbers(place):
        if old < number - KEEP:
            for what in ("released", "beat", "holder"):
                with contextlib.suppress(OSError):
                    _file(place, old, what).unlink(missing_ok=True)


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """Ticks since the boot at which the process started; empty when there is none of that id or it has ended, `UNSEEN` where there is
    one that is not shown to us."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except OSError:
            pass
        return UNSEEN
    fields = text[text.rindex(")") + 2 :].split()  # the name before may hold anything
    return "" if fields[0] in "ZX" else fields[19]
