"""What a metric is: a declared object with a pure function, found by name.

Two levels. A *case* metric maps one case to a value (`compute`). A *set* metric, such as FROC or KID, has no value on a
single case: it maps each case to a small part (`collect`) and a weighted list of parts to one value (`reduce`), so that a
bootstrap over cases reweights parts and never goes back to the images.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import Status
from benchmark.errors import DataError


class MetricValue(NamedTuple):
    """A number in the metric's range and how it came about. Never NaN; infinity only where the range allows it."""

    value: float
    status: Status = "ok"
    reason: str = ""


@dataclass(frozen=True, eq=False)
class CaseInputs:
    """What a metric may look at for one case. Arrays share one grid, axis order (z, y, x) or (y, x)."""

    reference: Any
    """Array for volumes, else the parsed content (points)."""
    prediction: Any
    """As `reference`."""
    mask: NDArray[np.bool_] | None = None
    """Where to score; None means everywhere."""
    spacing: tuple[float, ...] | None = None
    """Voxel size in mm, in array-axis order; None where there is no grid."""
    memo: MutableMapping[Any, Any] = field(default_factory=dict)
    """Intermediate results shared by the metrics of this one case; key them by function name and options."""
    reference_memo: MutableMapping[Any, Any] = field(default_factory=dict)
    """Intermediate results that depend on the reference, mask and spacing alone; shared across submissions."""

    def shared(self, key: Any, make: Callable[[], Any]) -> Any:
        """`make()`, computed once for this case."""
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]

    def reference_side(self, key: Any, make: Callable[[], Any]) -> Any:
        """`make()`, computed once for this reference."""
        try:
            return self.reference_memo[key]
        except KeyError:
            value = make()
            self.reference_memo[key] = value
            return value


Worst = float | Literal["diagonal", "volume"]
"""A number, or what the grid allows at most: `diagonal` of the image in mm, `volume` of the image in ml."""


@dataclass(frozen=True)
class Metric:
    """One metric, declared once; documentation, pages, ranking and penalties are made from this."""

    name: str
    """Name in task files. A metric with a known name gives the official number."""
    title: str
    """Column heading."""
    family: str
    """Module that declares it."""
    unit: str
    """Unit of the value; empty for ratios."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    range: tuple[float, float]
    """Lowest and highest possible value; ±inf where unbounded."""
    worst: Worst
    """What a case without a valid output takes."""
    definition: str
    """One line."""
    citation: str
    """Source of the formula."""
    needs: frozenset[str] = frozenset()
    """Of `mask`, `spacing`: what must be there."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Accepted options with their defaults."""
    compute: Callable[..., MetricValue] | None = None
    """Case metric: `compute(inputs, **options)`."""
    collect: Callable[..., Any] | None = None
    """Set metric: `collect(inputs, **options)` gives a part that can be pickled."""
    reduce: Callable[..., MetricValue] | None = None
    """Set metric: `reduce(parts, weights, **options)`; weights are case counts, all 1 for the plain value."""
    reduce_many: Callable[..., NDArray[np.float64]] | None = None
    """Set metric, optional: `reduce_many(parts, weights, **options)` for a whole bootstrap: weights (draws, cases) give one value
    a draw, NaN where a draw leaves the metric undefined."""
    interval: bool = True
    """Set metric: whether a bootstrap over cases makes sense (it does not for the Fréchet distance)."""

    @property
    def level(self) -> Literal["case", "set"]:
        """Whether it has a value on a single case."""
        return "case" if self.compute is not None else "set"

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise `DataError` for an option that this metric does not have."""
        for key in options:
            if key not in self.options:
                raise DataError(
                    "unknown_metric",
                    f"metric {self.name!r} has no option {key!r}",
                    expected=f"one of {sorted(self.options)}" if self.options else "no options",
                )

    def worst_value(self, shape: Sequence[int] | None = None, spacing: Sequence[float] | None = None) -> float:
        """The declared worst value for a case; diagonal and volume need shape (voxels) and spacing (mm)."""
        if self.worst == "diagonal" or self.worst == "volume":
            if shape is None or spacing is None:
                raise ValueError(f"{self.name}: the worst value needs the grid of the reference")
            sides = np.asarray(shape, float) * np.asarray(spacing, float)
            return float(np.linalg.norm(sides) if self.worst == "diagonal" else np.prod(sides) / 1000)
        return float(self.worst)

    def evaluate(self, inputs: CaseInputs, options: Mapping[str, Any] | None = None) -> MetricValue:
        """Value of a case metric; `options` override the declared defaults."""
        if self.compute is None:
            raise TypeError(f"{self.name} is a set metric: collect and reduce")
        return self.compute(inputs, **{**self.options, **(options or {})})


REGISTRY: dict[str, Metric] = {}
"""Every metric by name."""


def register(metric: Metric) -> Metric:
    """Declare a metric; a name can be declared once."""
    if metric.name in REGISTRY:
        raise ValueError(f"metric {metric.name!r} is declared twice")
    if (metric.compute is None) == (metric.collect is None):
        raise ValueError(f"metric {metric.name!r} needs either compute, or collect and reduce")
    REGISTRY[metric.name] = metric
    return metric


def find(name: str) -> Metric:
    """The metric of that name; `DataError` names the nearest ones when there is none."""
    try:
        return REGISTRY[name]
    except KeyError:
        near = difflib.get_close_matches(name, REGISTRY, n=3, cutoff=0.4)
        raise DataError(
            "unknown_metric",
            f"there is no metric {name!r}",
            expected=f"perhaps {', '.join(near)}" if near else f"one of {', '.join(sorted(REGISTRY))}",
        ) from None
