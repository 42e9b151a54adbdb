"""Does a bundle agree with itself: its sums with its cases, its groups with their counts?

Who changes a number and makes the hash anew is found where the number stands twice; who changes both places is not.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.errors import DataError
from benchmark.federation.bundle import Bundle

CLOSE = 1e-9
"""How far sums may lie from those of the cases, which are added up in another order here, as a share."""


def check(one: Bundle, minimum: int) -> None:
    """Raises `DataError('bundle_invalid')`, which names the metric or the partition; `minimum` is the task's smallest group of patients."""
    who = f"{one.site}'s bundle of {one.submission}"
    if one.kind == "cases":
        _sums(one, who)
    for group in one.groups:
        if group.suppressed in ("small", "complementary"):
            continue  # `bundle.read` holds these to have no number
        where = f"{who} shows a group by {group.partition}"
        if group.n is None or group.patients is None:
            raise DataError("bundle_invalid", f"{where} without its size", expected="cases and patients, or none of it")
        if group.suppressed == "empty" and (group.n or group.patients or group.means):
            raise DataError("bundle_invalid", f"{where} that has no case, with numbers")
        if group.suppressed != "empty" and not minimum <= group.patients <= min(group.n, one.patients):
            raise DataError(
                "bundle_invalid",
                f"{where} of {group.patients} patients in {group.n} cases",
                expected=f"{minimum} to {one.patients} patients, each with a case",
            )
        if group.n > one.n:
            raise DataError("bundle_invalid", f"{where} of {group.n} cases", expected=f"at most {one.n}")


def _sums(one: Bundle, who: str) -> None:
    said = {total.metric: total for total in one.sums}
    for metric in sorted({id for line in one.cases for id in line.values} | said.keys()):
        kept = [line for line in one.cases if metric in line.values and line.status.get(metric) != "excluded"]
        values = np.array([float(line.values[metric]) for line in kept])
        worst = sum(line.status.get(metric) in ("missing", "invalid") for line in kept)
        total = said.get(metric)
        if len(values) < one.minimum or not np.isfinite(values).all():
            right = total is None
        else:
            # A variance is a difference of squares, and rounded as these are.
            tiny = 1e-12 * max(1.0, float(np.square(values).max()))
            right = (
                total is not None
                and (total.n, total.n_worst) == (len(values), worst)
                and math.isclose(total.mean, values.mean(), rel_tol=CLOSE, abs_tol=tiny)
                and math.isclose(total.variance, values.var(ddof=1), rel_tol=CLOSE, abs_tol=tiny)
            )
        if not right:
            raise DataError(
                "bundle_invalid",
                f"{who}: its sums of {metric} are not those of its cases",
                expected="the file as `radbench score --bundle` wrote it",
            )
