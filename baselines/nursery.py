"""A process that has imported what baselines need, and forks their servers.

Importing torch and MONAI takes longer than most baselines need for all cases of a small edition. Here it is done once: each server
is a fork of this process, which has the libraries and nothing else, so that servers share no model, no case and no random state.

python -m baselines.nursery DESCRIPTOR BEGIN

DESCRIPTOR is a socket of packets, see `benchmark.container.servers`; the process ends when the other end closes. BEGIN is the time at
which it was started, by the monotonic clock.

A packet asks for one server: JSON with its `family`, the `arguments` of `baselines.entry` and its working `folder`; with it come two
descriptors, its standard input and what it prints to. The answer is JSON: its `pid`, and `imports_seconds`, what it took from
BEGIN until the imports of its family were made.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Sequence

from baselines.catalogue import FAMILIES

PACKET = 1 << 16
"""Longest packet, in bytes."""


def main(arguments: Sequence[str]) -> None:
    """Import, then fork a server for each packet."""
    with socket.socket(fileno=int(arguments[0])) as asked:
        seconds = _imported(float(arguments[1]))
        gc.collect()
        gc.freeze()  # else the first collection of each server would write to, and so copy, the pages that all share
        while True:
            text, streams, _, _ = socket.recv_fds(asked, PACKET, 2)
            _reap()
            if not text:
                return
            request = json.loads(text)
            pid = os.fork()
            if not pid:
                asked.close()
                _serve(request["arguments"], request["folder"], *streams)
            for stream in streams:
                os.close(stream)
            asked.send(json.dumps({"pid": pid, "imports_seconds": seconds[request["family"]]}).encode())


def _imported(begin: float) -> dict[str, float]:
    """Import what servers import; by family the seconds until all that it needs was there."""
    for module in ("entry", "server"):
        importlib.import_module(f"baselines.{module}")
    seconds: dict[str, float] = {}
    for family in FAMILIES:  # in the order of what they import: the later ones need what the earlier ones do, and more
        importlib.import_module(f"baselines.{family}.predict")
        seconds[family] = time.monotonic() - begin
    return seconds


def _reap() -> None:
    """Let go of servers that have ended; until now no other process could have their ids."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _serve(arguments: list[str], folder: str, given: int, printed: int) -> None:
    """In the fork: be what `python -m baselines.entry` would be. Does not return."""
    status = 1
    try:
        os.setsid()  # a session of its own, so that a signal reaches everything that it starts
        for number, stream in enumerate((given, printed, printed)):
            os.dup2(stream, number)
        os.close(given)
        os.close(printed)
        os.chdir(folder)
        status = importlib.import_module("baselines.entry").main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
