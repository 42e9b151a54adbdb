"""`docs/metrics.md`, made from the declarations: `python -m benchmark.metrics.document` writes it, a test keeps it current."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.metrics import REGISTRY, Metric

TARGET = Path(__file__).parents[2] / "docs" / "metrics.md"

FAMILIES = {
    "synthesis": "Image synthesis",
    "segmentation": "Segmentation: one structure",
    "multilabel": "Segmentation: many labels, and synthetic CT",
    "lesions": "Segmentation: lesion by lesion",
    "detection": "Detection",
    "classification": "Classification",
    "distribution": "Distributions of images",
    "memorisation": "Memorisation",
    "clinical": "Clinical quantities",
}
"""Headings in display order; a family that is not here comes last under its own name."""

INTRODUCTION = """\
# Metrics

This page is generated from the declarations in `benchmark/metrics/`; `python -m benchmark.metrics.document` writes it.

A *case* metric has a value on every case; means, intervals and ranks derive from the per-case table. A *set* metric has one value
on a set of cases (a FROC curve, a distance between distributions); a bootstrap over cases reweights what each case contributes.

Every value carries a status and is never NaN:

| status | meaning |
| --- | --- |
| `ok` | computed as defined |
| `both_empty` | neither reference nor prediction holds the structure: a perfect score, counted and shown |
| `pred_empty` | the prediction holds nothing of the structure: the worst value, unless the definition says otherwise |
| `ref_empty` | the reference holds nothing of the structure or class: the worst value, unless the definition says otherwise |
| `missing` | no output: the worst value |
| `invalid` | the output cannot be scored (NaN or infinity where it is scored, wrong grid, no numbers): the worst value |
| `excluded` | the task leaves the case out for all submissions alike |

A worst value of *diagonal* is the physical diagonal of the image in mm, *volume* its volume in ml. A task names a metric and may
override its options: `[[metrics]]`, `name = "nsd"`, `tolerance = 1.0`. An unknown name is refused with the nearest ones.
"""


def render(metrics: Iterable[Metric] | None = None) -> str:
    """The page as Markdown, by family and name."""
    found = list(REGISTRY.values() if metrics is None else metrics)
    families = [*FAMILIES, *sorted({metric.family for metric in found} - set(FAMILIES))]
    parts = [INTRODUCTION]
    for family in families:
        members = sorted((metric for metric in found if metric.family == family), key=lambda metric: metric.name)
        if members:
            parts.append(f"## {FAMILIES.get(family, family)}\n")
            parts += [_section(metric) for metric in members]
    return "\n".join(parts)


def _section(metric: Metric) -> str:
    low, high = (_number(value) for value in metric.range)
    worst = metric.worst if isinstance(metric.worst, str) else _number(metric.worst)
    facts = [
        f"{metric.direction} is better",
        f"range {low} to {high}" + (f" {metric.unit}" if metric.unit else ""),
        f"worst value {worst}",
        f"one value a {metric.level}",
    ]
    if metric.needs:
        facts.append(f"needs {' and '.join(sorted(metric.needs))}")
    if metric.level == "set" and not metric.interval:
        facts.append("no interval: the value depends on the number of cases")
    lines = [f"### `{metric.name}`: {metric.title}\n", f"{metric.definition}\n", f"- {'; '.join(facts)}"]
    if metric.options:
        chosen = ", ".join(f"`{key} = {_toml(value)}`" for key, value in metric.options.items())
        lines.append(f"- options: {chosen}")
    lines.append(f"- source: {metric.citation}\n")
    return "\n".join(lines)


def _number(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:g}".replace("-", "−")


def _toml(value: Any) -> str:
    """A default as it would stand in a task file; None is what a task cannot write, so it reads as absent."""
    if value is None:
        return "(absent)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return repr(value)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"{TARGET}: {len(REGISTRY)} metrics")
