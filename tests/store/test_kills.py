"""Killed at any moment, many times: the store is consistent each time, what was acknowledged is there, and the end is the same."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import small

from benchmark import ledger, store
from benchmark.ledger import Ledger
from benchmark.store.check import check
from benchmark.store.retention import Retention, collect, plan

RUNS = 30
"""Runs that the writer makes."""
KILLS = 32


def write_all(work: Path, said: int) -> None:
    """Make each run that is not there, with score, placement and ledger entry; say each when it is done; tidy in between."""
    root, book = work / "store", Ledger(work / "ledger.jsonl")
    noted = {entry.facts["run"] for entry in book.entries()}
    rule = Retention(keep_runs=4)
    for number in range(RUNS):
        key = small.write_run(root, number, cases=4, size=2000)
        small.aged(root, key, RUNS - number, 1.8e9)
        if key not in noted:
            book.append("run_finished", task="toy", submission="m", run=key, cases=4)
        os.write(said, json.dumps([number, key]).encode() + b"\n")
        if number % 3 == 0:
            collect(root, plan(root, rule), rule)
    collect(root, plan(root, rule), rule)


def writer(work: Path, said: int, start: int) -> None:
    os.read(start, 1)
    write_all(work, said)
    os._exit(0)


def test_killed_again_and_again(tmp_path: Path) -> None:
    rng, context = random.Random(20260101), multiprocessing.get_context("fork")
    work, killed, acknowledged = tmp_path / "work", 0, set()
    longest = 0.4
    while killed < KILLS:
        reader, said = os.pipe()
        wait, start = os.pipe()
        process = context.Process(target=writer, args=(work, said, wait))
        process.start()
        os.write(start, b"g")
        time.sleep(rng.uniform(0.0, longest))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        os.close(said)
        with os.fdopen(reader) as lines:
            acknowledged |= {json.loads(line)[1] for line in lines if line.endswith("\n")}
        os.close(wait)
        os.close(start)
        if process.exitcode == 0:  # it was done before the kill came: begin anew in another place
            longest /= 1.5
            work = tmp_path / f"work{killed}"
            acknowledged = set()
            continue
        killed += 1
        found = check(work / "store")
        assert found.problems == (), found.problems
        assert ledger.verify(work / "ledger.jsonl") == []
        for key in acknowledged:
            assert store.load_run(work / "store", key) is not None
        noted = [entry.facts["run"] for entry in Ledger(work / "ledger.jsonl").entries()]
        assert acknowledged <= set(noted) and len(noted) == len(set(noted))
    out = os.open(os.devnull, os.O_WRONLY)
    write_all(work, out)
    write_all(tmp_path / "unkilled", out)
    os.close(out)
    assert check(work / "store").problems == ()
    assert whole(work / "store") == whole(tmp_path / "unkilled" / "store")
    facts = [[e.facts for e in Ledger(w / "ledger.jsonl").entries()] for w in (work, tmp_path / "unkilled")]
    assert facts[0] == facts[1] and len(facts[0]) == RUNS


def whole(root: Path) -> dict[str, object]:
    """The content of a store, without what killed processes left and the time of a collection."""
    found: dict[str, object] = {}
    for path, data in small.tree(root).items():
        if any(part.startswith(".") for part in path.split("/")):
            continue
        found[path] = json.loads(data)["files"] if path.endswith("removed.json") else data
    return found
