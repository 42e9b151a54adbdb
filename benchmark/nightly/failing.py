"""What a night does about a failure: tries again, or notes it, stops what stops with it, and settles the attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark import atomic
from benchmark.inbox import Entry
from benchmark.nightly import failures, queue
from benchmark.nightly.failures import Failure, Stage
from benchmark.nightly.queue import Item
from benchmark.nightly.report import Failed
from benchmark.nightly.work import Run, TakeIn

if TYPE_CHECKING:
    from benchmark.nightly.night import Night


def fail(night: Night, item: Item, error: BaseException, seconds: float, *, gpu_lost: bool) -> None:
    """Take a failure of a piece of work as its type says."""
    stage: Stage = "take_in" if isinstance(item, TakeIn) else "run" if isinstance(item, Run) else "score"
    entry = entry_of(night, item)
    found = failures.classify(error, stage, archived=entry is None or bool(entry.archive), gpu_lost=gpu_lost)
    tries, retries = night.queue.tries[item.key], night.around.config.nightly.retries
    again = found.retry and tries <= retries.times
    sentence = failures.cleaned(found.sentence, night.sealed)
    what, names = queue.kind(item), ", ".join(queue.names(item))
    night.say(f"failed: {what} {names}: {found.group} error [{found.code}]: {sentence}")
    if isinstance(item, Run):
        night.chronicle.run_failed(item, found, tries, seconds, again=again)
    if again:
        pause = failures.pause(retries, item.key, tries)
        night.say(f"tried again in {pause:.0f} s ({tries} of {retries.times})")
        night.queue.again(item, night.hands.monotonic() + pause)
        return
    night.queue.stop(found, item)
    before = int(night.state.failed_nights.get(item.key, 0)) if night.state else 0
    task, edition = queue.board(item)
    night.failed.append(
        Failed(
            what=what,
            task=task,
            edition=edition,
            names=queue.names(item),
            key=item.key,
            group=found.group,
            code=found.code,
            sentence=sentence,
            tries=tries,
            nights=before + 1 if found.group == "infrastructure" else 0,
            details=details(night, item.key, found),
        )
    )
    _settle(night, item, entry, found)


def _settle(night: Night, item: Item, entry: Entry | None, found: Failure) -> None:
    """What the failure means for the attempt of whom it concerns, and whether a person must look."""
    if entry is not None and night.state is not None:
        counted = any(a.entry == entry.id and a.counted for a in night.state.attempts)
        (night.refused if found.group == "submission" else night.ours)[entry.id] = found
        if found.group != "bug" and not (counted and found.group == "submission"):
            night.chronicle.attempt_failed(entry, night.state.tasks[entry.submission.task], queue.board(item)[1], found)
        if found.group == "submission":
            return
    if found.group == "data":
        night.needs_person(f"{'/'.join(filter(None, queue.board(item)))} is stopped: {found.sentence}")
    elif found.group != "bug" and not any(found.sentence in said for said in night.person):
        night.needs_person(f"{queue.kind(item)} {', '.join(queue.names(item))}: {found.sentence}")


def details(night: Night, key: str, found: Failure) -> str:
    """Keep the traceback, for the organiser alone; its name in the night's folder, empty where it could not be written."""
    name = f"errors/{key.replace(':', '-').replace('/', '-')}.txt"
    try:
        atomic.write_text(night.folder / name, found.details)
        (night.folder / name).chmod(0o600)
    except OSError:  # the disk that fails may be why there is something to keep
        return ""
    return name


def entry_of(night: Night, item: Item) -> Entry | None:
    """The entry that an item is for, where it is for one."""
    id = getattr(item, "entry", "")
    found = (e.entry for e in (night.state.entries if night.state else ()) if e.entry.id == id)
    return next(found, None) if id else None


def broke(night: Night, what: str, error: BaseException) -> str:
    """Note a failure that is in no piece of work but in the night itself; its sentence."""
    found = failures.classify(error, "publish")
    sentence = failures.cleaned(found.sentence, night.sealed)
    night.failed.append(
        Failed(what=what, group=found.group, code=found.code, sentence=sentence, details=details(night, what, found))
    )
    return sentence
