"""Statistics at the size of a large challenge: 50 submissions, 200 cases, 10 metrics, 10 000 draws, in under 10 s and bounded memory.

Peers in the same run: `scipy.stats.bootstrap` for the mean, and a loop of resampling for ranks, each on a part and scaled up.
"""

import threading
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from benchmark import audit
from benchmark.contract import Case, Score, Task
from benchmark.statistics import bootstrap, gaps, ranking, resampled
from benchmark.statistics.agreement import agreement

TEAMS, CASES, METRICS = 50, 200, 10
CORES = 2


@pytest.fixture(scope="module")
def losses() -> np.ndarray:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=(1, CASES, METRICS))
    return np.linspace(0, 2, TEAMS)[:, None, None] + hard + rng.normal(size=(TEAMS, CASES, METRICS))


@pytest.fixture(scope="module")
def sampling() -> bootstrap.Resampling:
    small = bootstrap.resampling(5, draws=20)  # compiles what is compiled
    values = np.random.default_rng(1).normal(size=(5, 3))
    bootstrap.median_intervals(values, small)
    resampled.drawn_wins(values.T[..., None], small, np.ones(1, dtype=bool))
    return bootstrap.resampling(CASES)


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of all threads: what other processes do on the machine does not count."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def test_the_whole_board_in_ten_seconds(losses: np.ndarray, sampling: bootstrap.Resampling) -> None:
    columns = np.ascontiguousarray(np.moveaxis(losses, 0, 1)).reshape(CASES, TEAMS * METRICS)
    names = [f"t{i:02d}" for i in range(TEAMS)]
    parts = {
        "resampling": lambda: bootstrap.resampling(CASES),
        "means, 500 intervals": lambda: bootstrap.mean_intervals(columns, sampling),
        "medians, 500 intervals": lambda: bootstrap.median_intervals(columns, sampling),
        "paired differences, 12 250 intervals": lambda: [
            bootstrap.difference_intervals(losses[:, :, m].T, sampling) for m in range(METRICS)
        ],
        "ranks, mean_of_ranks": lambda: ranking.rank(losses, "mean_of_ranks", sampling),
        "agreement of four rules": lambda: agreement(losses, names, "mean_of_ranks", sampling),
    }
    spent = {name: seconds(work) for name, work in parts.items()}
    print()
    for name, took in spent.items():
        print(f"  {name:40} {took:6.2f} s")
    print(f"  {'together':40} {sum(spent.values()):6.2f} processor seconds")
    for rule in ("rank_of_means", "synthrad2023", "significance"):
        took = seconds(lambda rule=rule: ranking.rank(losses, rule, sampling))
        print(f"  {'ranks, ' + rule:40} {took:6.2f} s")
        assert took / CORES < 10
    assert sum(spent.values()) / CORES < 10


def test_memory_is_bounded(losses: np.ndarray, sampling: bootstrap.Resampling) -> None:
    """What 10 000 draws of 12 250 differences would take at once is 1 GB; blocks keep it to a few hundred megabytes."""
    columns = losses[:, :, 0].T
    tracemalloc.start()
    bootstrap.difference_intervals(columns, sampling)
    ranking.rank(losses, "rank_of_means", sampling)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f"\n  peak {peak:.0f} MiB")
    assert peak < 500
    assert threading.active_count() < 10


def test_against_scipy(losses: np.ndarray, sampling: bootstrap.Resampling) -> None:
    columns = losses[:10, :, 0].T
    ours = seconds(lambda: bootstrap.mean_intervals(columns, sampling))
    theirs = seconds(
        lambda: stats.bootstrap((columns,), np.mean, n_resamples=10_000, method="BCa", axis=0, rng=1, batch=1000)
    )
    print(f"\n  BCa of 10 means: ours {ours:.3f} s, scipy {theirs:.3f} s: {theirs / ours:.0f} times as fast")
    assert ours < theirs


def test_against_resampling_in_a_loop(losses: np.ndarray, sampling: bootstrap.Resampling) -> None:
    rng = np.random.default_rng(2)

    def loop() -> None:
        for _ in range(100):
            drawn = losses[:, rng.integers(0, CASES, CASES)]
            stats.rankdata(drawn, method="min", axis=0).mean(axis=(1, 2))

    ours = seconds(lambda: ranking.rank(losses, "mean_of_ranks", sampling))
    theirs = seconds(loop) * sampling.draws / 100
    print(f"\n  ranks: ours {ours:.2f} s, a loop {theirs:.0f} s (from 100 draws)")
    assert ours < theirs / 10


def test_audit_of_fifty_submissions() -> None:
    rng = np.random.default_rng(3)
    cases = [
        Case(
            id=f"c{i:03d}",
            split="test",
            attributes={"sex": "fm"[i % 2], "site": "ABCD"[i // 50], "age": "yo"[rng.integers(2)]},
        )
        for i in range(CASES)
    ]
    ids = ["mae", "psnr", "ssim"]
    task = Task.model_validate(
        {
            **dict.fromkeys(("version", "title", "summary", "modality", "anatomy"), "x"),
            "name": "x",
            "inputs": [{"slug": "i", "kind": "image", "path": "i"}],
            "outputs": [{"slug": "o", "kind": "image", "path": "o"}],
            "references": [{"slug": "r", "kind": "image", "path": "r"}],
            "scoring": {"prediction": "o", "reference": "r"},
            "metrics": [{"name": "mae"}, {"name": "psnr"}, {"name": "ssim"}],
            "ranking": {"metrics": ids},
            "display": {"input": "i", "window": [0, 1]},
            "attributes": [{"name": name, "title": name} for name in ("sex", "site", "age")],
        }
    )
    tables = [
        [
            Score(case=case.id, metric=metric, value=value, unit="", status="ok")
            for metric in ids
            for case, value in zip(cases, rng.normal(size=CASES), strict=True)
        ]
        for _ in range(TEAMS)
    ]
    took = seconds(lambda: audit.fairness(task, cases, "real", tables))
    print(f"\n  audit of {TEAMS} submissions, 6 partitions, 3 metrics, {gaps.PERMUTATIONS} shuffles: {took:.2f} s")
    assert took < 30
