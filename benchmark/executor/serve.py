"""A worker's process: takes jobs from its standard input one by one, answers on its standard output.

Run as `python -m benchmark.executor.serve`. Messages are a length of eight bytes and a pickle. What jobs print goes to standard
error. When standard input closes, since whoever asked was killed, or on TERM, the job that runs is interrupted as by Ctrl-C, so that
its containers go away, and the process ends.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import IO, Any

from benchmark.executor import progress

LENGTH = struct.Struct(">Q")
ENDED = 143
"""Exit code after TERM."""
OOM_SCORE = 500
"""Added to how much the kernel wants to kill it, of 1000."""
GRACE_SECONDS = 25.0
"""A job that was interrupted has this long to remove its containers."""


class Ended(KeyboardInterrupt):
    """The process is to end; a job cleans up on its way out."""


def send(stream: IO[bytes], message: object) -> None:
    """Write one message. What cannot be pickled raises before anything is written."""
    data = pickle.dumps(message)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message. Raises `EOFError` when the other side is gone, also in the middle of one."""
    return pickle.loads(receive_bytes(stream))


def receive_bytes(stream: IO[bytes]) -> bytes:
    """Read one message and leave it packed."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    data = stream.read(LENGTH.unpack(head)[0])
    if len(data) < LENGTH.unpack(head)[0]:
        raise EOFError
    return data


def main() -> None:
    """Serve until standard input closes."""
    # Nothing that a job starts may read what is meant for us, or write between our answers.
    asks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with contextlib.suppress(
        OSError
    ):  # where memory runs out, the kernel is to take a job and not the organiser's process
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    busy = False

    def end(number: int, frame: FrameType | None) -> None:
        if not busy:
            os._exit(ENDED)
        # Once: a second one must not break into the cleaning up after the first.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Ended

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked, who then ends us
    signal.signal(signal.SIGTERM, end)
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asks, asked), daemon=True).start()
    while True:
        data = asked.get()
        busy = True
        try:
            answer = _answer(data, answers)
        except Ended:
            os._exit(ENDED)
        busy = False
        try:
            _send_safely(answers, answer)
        except OSError:
            os._exit(ENDED)


def _listen(stream: IO[bytes], asked: queue.SimpleQueue[bytes]) -> None:
    """Pass jobs on; see to it that the process ends when nobody waits for it any more."""
    try:
        while True:
            asked.put(receive_bytes(stream))
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE_SECONDS)
        os._exit(ENDED)


def _answer(data: bytes, answers: IO[bytes]) -> tuple[str, Any, str]:
    """Do a job: `("done", result, "")` or `("failed", error, traceback)`."""
    try:
        function, job, environment = pickle.loads(data)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        with progress.listening(lambda *told: send(answers, ("progress", told, ""))):
            return "done", function(job), ""
    except Ended:
        raise
    except BaseException as error:
        return "failed", error, traceback.format_exc()


def _send_safely(answers: IO[bytes], answer: tuple[str, Any, str]) -> None:
    """Send an answer; one that cannot cross to another process, in words."""
    try:
        # An error may be packed and not be unpacked again: one whose arguments are not those of its constructor.
        pickle.loads(pickle.dumps(answer))
    except Exception as problem:
        kind, value, text = answer
        words = f"{type(value).__name__}: {value}" if kind == "failed" else f"its result cannot be pickled ({problem})"
        answer = ("failed", RuntimeError(words), text)
    send(answers, answer)


if __name__ == "__main__":
    main()
