"""What a failure means for the night: whose it is, whether it is tried again, what stops with it. The error's type decides.

- `SubmissionError`: final and explained to the participant.
- `InfrastructureError`: tried again, tonight with growing pauses and in the next nights; it never costs an attempt.
- `DataError`: the work on that task and edition stops, the night goes on.
- anything else is a bug: that piece of work fails with a traceback for the organiser, the night goes on.
"""

from __future__ import annotations

import errno
import random
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from benchmark.errors import DataError, InfrastructureError, RadbenchError, SubmissionError
from benchmark.ledger_facts import SECRETS
from benchmark.nightly.config import Retries

Stage = Literal["take_in", "run", "score", "publish"]
Halt = Literal["", "board", "containers", "gpu", "everything"]
"""What is not begun any more: nothing, this board, containers, what needs a GPU, anything."""

NO_RETRY = (
    "no_engine",
    "engine_unfit",
    "missing_extra",
    "worker_unfit",
    "no_space",
    "read_only",
    "low_disk",
    "gpu_lost",
    "cluster_lost",
    "changed_meanwhile",
)
"""Failures of ours that a pause of minutes does not mend."""
HALTS: dict[str, Halt] = {
    "no_engine": "containers",
    "engine_unfit": "containers",
    "gpu_lost": "gpu",
    "no_space": "everything",
    "read_only": "everything",
    "low_disk": "everything",
    "cluster_lost": "everything",
    "changed_meanwhile": "board",
}
LOST_IMAGE = ("image_unreadable", "image_changed")
"""What intake says when it does not find an image, or not the one that was pinned."""


@dataclass(frozen=True)
class Failure:
    """A failure as the night takes it."""

    group: Literal["submission", "infrastructure", "data", "bug"]
    """Whose it is."""
    code: str
    """Code of the catalogue; of a bug the name of the exception."""
    sentence: str
    """What was found, what was expected, what to do."""
    details: str
    """The traceback, for the organiser."""
    retry: bool = False
    """Whether a pause may mend it."""
    halts: Halt = ""
    """What is not begun any more in this night."""


def classify(error: BaseException, stage: Stage, *, archived: bool = True, gpu_lost: bool = False) -> Failure:
    """What an error means. `archived`: the image lies in the inbox, so the engine can load it again; `gpu_lost`: it came from work on
    a GPU that does not answer any more."""
    details = "".join(traceback.format_exception(error))
    found = _as_declared(error)
    if gpu_lost and not isinstance(found, SubmissionError):
        found = InfrastructureError("gpu_lost", f"the GPU went away while it was used ({type(error).__name__})")
    # What was good when it was handed in, and is gone since, is no fault of the submission; a name that stands for another image is.
    gone = LOST_IMAGE if stage == "run" else () if archived else ("image_unreadable",)
    if isinstance(found, SubmissionError) and found.code in gone:
        found = InfrastructureError("image_gone", found.found)
    if isinstance(found, SubmissionError):
        return Failure("submission", found.code, found.sentence, details)
    if isinstance(found, InfrastructureError):
        retry = found.code not in NO_RETRY
        return Failure("infrastructure", found.code, found.sentence, details, retry, HALTS.get(found.code, ""))
    if isinstance(found, DataError):
        return Failure("data", found.code, found.sentence, details, halts="board")
    return Failure("bug", type(error).__name__, f"{type(error).__name__}: {error}", details)


def _as_declared(error: BaseException) -> BaseException:
    """What the system says of its disks, as one of the declared errors."""
    if isinstance(error, RadbenchError) or not isinstance(error, OSError):
        return error
    where = error.filename or "while writing"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InfrastructureError("no_space", f"the disk is full ({where})")
    if error.errno == errno.EROFS:
        return InfrastructureError("read_only", f"{where} cannot be written to")
    return error


def pause(retries: Retries, key: str, tries: int) -> float:
    """Seconds to wait after `tries` tries: doubled each time, capped, and spread by a draw that depends on key and try alone."""
    base = min(retries.most_seconds, retries.first_seconds * 2.0 ** (tries - 1))
    return base * (1 + retries.jitter * random.Random(f"{key}:{tries}").uniform(-1, 1))


def cleaned(text: str, sealed: Collection[str]) -> str:
    """A sentence without credentials and without ids of sealed cases, for what others than the organiser may see."""
    text = SECRETS.sub("[withheld]", text)
    for id in sorted((id for id in sealed if id in text), key=len, reverse=True):
        text = _replaced(text, id)
    return text


def _replaced(text: str, word: str) -> str:
    """Without `word` where it stands as a word, so that a short id does not take letters out of others."""
    parts, rest = [], text
    while (at := rest.find(word)) >= 0:
        before, after = rest[at - 1 : at], rest[at + len(word) : at + len(word) + 1]
        alone = not (before.isalnum() or after.isalnum())
        parts.append(rest[:at] + ("[sealed case]" if alone else word))
        rest = rest[at + len(word) :]
    return "".join([*parts, rest])
