"""Processes of a pool that end with who made them."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """What each process of a pool calls first. Else, once its maker is killed, it would wait for work for ever, with the locks that
    it was forked with: nobody could go on where the killed one stopped."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
