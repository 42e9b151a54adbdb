"""What cases add to set-level metrics survives storing, and a stranger's pickle runs nothing."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from benchmark import parts
from benchmark.errors import DataError
from benchmark.metrics.classification import Labelled
from benchmark.metrics.points import Scan


def test_parts_come_back_as_they_were() -> None:
    scan = Scan(np.array([0.9, -np.inf]), np.array([]), 0.9, missing=False)
    big = {"features": np.arange(12.0).reshape(3, 4), "n": np.float64(3), "name": "x"}
    found = parts.loads(parts.dumps({"cpm": {"a": scan}, "auc": {"a": Labelled(1, (0.2, 0.8))}, "kid": {"a": big}}))
    back = found["cpm"]["a"]
    assert isinstance(back, Scan) and back.hits.tolist() == [0.9, -np.inf] and back.positive
    assert found["auc"]["a"] == Labelled(1, (0.2, 0.8))
    np.testing.assert_array_equal(found["kid"]["a"]["features"], big["features"])


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_strangers_pickle_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    for content in (
        pickle.dumps({"m": {"a": Evil(target)}}),
        b"cos\nsystem\n(S'touch x'\ntR.",
        b"cbenchmark.metrics.points\nnp.load\n.",
        b"cbenchmark.metrics.points\nmatch\n.",  # a function of ours is no part either
        b"garbage",
        pickle.dumps([1, 2]),
    ):
        with pytest.raises(DataError, match=r"cannot be read|something else"):
            parts.loads(content)
    assert not target.exists()


def test_aligned_by_case() -> None:
    found = {"m": {"a": 1, "b": 2}}
    assert parts.aligned(found, ["b", "a"]) == {"m": [2, 1]}
    assert parts.aligned(found, ["a", "c"]) is None
    assert parts.aligned({}, ["a"]) == {}
