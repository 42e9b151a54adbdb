"""Processes of a pool do not outlive who made them, and hold none of its locks."""

import subprocess
import sys
from pathlib import Path

from filelock import FileLock

MAKER = """
import multiprocessing, os, sys, threading
from concurrent.futures import ProcessPoolExecutor
from filelock import FileLock
from benchmark.pools import end_with_parent

def work(number):
    os.open(f"{sys.argv[1]}/{os.getpid()}", os.O_CREAT)
    while len(os.listdir(sys.argv[1])) < 2:
        pass  # so that each of the two processes has one
    return os.getpid()

with FileLock(sys.argv[2]):
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=context, initializer=end_with_parent) as pool:
        print(*pool.map(work, range(2)), flush=True)
        threading.Event().wait()
"""


def test_a_killed_maker_takes_its_pool_and_its_locks_along(tmp_path: Path) -> None:
    seen, lock = tmp_path / "seen", tmp_path / "lock"
    seen.mkdir()
    maker = subprocess.Popen([sys.executable, "-c", MAKER, str(seen), str(lock)], stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    first, second = maker.stdout.readline().split()
    assert first != second
    maker.kill()
    maker.wait()
    # The end of the pipe that all three print to: none of them is there any more.
    assert maker.stdout.read() == ""
    maker.stdout.close()
    with FileLock(lock, timeout=0):
        pass
