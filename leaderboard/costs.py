"""What a run took, as a submission's page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.contract import Row
from leaderboard import numbers

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class CostLine:
    """One quantity."""

    title: str
    value: str
    """With its unit; `NOT_MEASURED` where the engine could not tell."""
    meaning: str


def cost_lines(row: Row) -> tuple[CostLine, ...]:
    """All quantities in one order, so that the pages of two submissions can be laid side by side."""
    cost = row.cost

    def measured(name: str) -> float | None:
        return getattr(cost, name) if cost else None

    start = cost.start_seconds if cost else row.seconds_start
    median = cost.seconds_median if cost else row.seconds_median
    return (
        CostLine("Cold start", _of(start, "s"), "from the start of the container or process until the model was ready"),
        CostLine("Time a case, median", _of(median, "s"), "wall clock, over all cases that ran"),
        CostLine("Time a case, 95th percentile", _of(measured("seconds_p95"), "s"), "wall clock"),
        CostLine("Processor time a case", _of(measured("cpu_seconds"), "s"), "median over cases, all cores together"),
        CostLine("Peak memory", _of(measured("peak_memory_mb"), "MiB"), "the most that the control group held"),
        CostLine("Peak GPU memory", _of(measured("gpu_memory_mb"), "MiB"), "beyond what was in use before the start"),
        CostLine("GPU energy a case", _of(measured("gpu_joules"), "J"), "median over cases, all of the GPU"),
        CostLine("Hardware", (cost.hardware if cost else "") or row.hardware or NOT_MEASURED, "what it ran on"),
    )


def _of(value: float | None, unit: str) -> str:
    if value is None:
        return NOT_MEASURED
    text = numbers.seconds(value) if unit == "s" else numbers.plain(float(f"{value:.3g}"))
    return f"{text} {unit}"
