"""An audit as a table for the terminal, as one HTML file that needs nothing else, and as JSON."""

from __future__ import annotations

import math
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.table import Table

from benchmark import atomic
from benchmark.audit import Audit
from benchmark.fairness import Gap, Partition
from benchmark.statistics.fairness import FPR, TPR

REMARKS = {
    "": "",
    "small": "withheld: too few",
    "complementary": "withheld: a small group would follow from it",
    "empty": "no case",
}


def measures(audit: Audit) -> dict[str, str]:
    """Headings of the measures with their units, by id."""
    titles = {info.id: f"{info.title} ({info.unit})" if info.unit else info.title for info in audit.metrics}
    return {**titles, TPR: "True-positive rate", FPR: "False-positive rate"}


def number(value: float | None) -> str:
    """Four significant digits; a dash where there is none."""
    if value is None:
        return "—"
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "—"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def p_text(value: float | None) -> str:
    """A p-value; a dash where there is none."""
    return "—" if value is None else f"{value:.3f}" if value >= 0.001 else f"{value:.4f}"


def table(audit: Audit) -> Table:
    """Values by group and gaps of the partitions that can be shown."""
    shown = Table(
        title=f"Fairness audit of {audit.method.title}: {audit.task_title}, {audit.edition_title} ({audit.kind})",
        title_justify="left",
        title_style="bold",
        caption="gap: best less worst group; by chance: mean gap of shuffled labels (95th percentile); p corrected by Holm",
        caption_justify="left",
    )
    for heading in ("by", "measure", "groups", "gap", "by chance", "p"):
        shown.add_column(heading, justify="left" if heading in ("by", "measure", "groups") else "right")
    names = measures(audit)
    for partition in audit.population.partitions:
        for gap in audit.fairness.gaps:
            if gap.partition == partition.name and any(value.value is not None for value in gap.values):
                shown.add_row(
                    partition.title,
                    names[gap.measure],
                    _groups(partition, gap),
                    number(gap.gap),
                    f"{number(gap.null_mean)} ({number(gap.null_high)})",
                    p_text(gap.p_holm),
                    style="bold" if gap.more_than_chance else "",
                )
    return shown


def _groups(partition: Partition, gap: Gap) -> str:
    said = []
    for group, value in zip(partition.groups, gap.values, strict=True):
        if value.value is not None:
            said.append(f"{group.name} {number(value.value)} (n = {value.n})")
        elif group.suppressed != "empty":
            said.append(f"{group.name}: withheld")
    return ", ".join(said)


def lines(audit: Audit) -> list[str]:
    """Found, associated, not measurable, limits: in sentences for the terminal."""
    linked = [link.sentence for link in audit.population.associations if link.strong]
    said = []
    for heading, sentences in (
        ("Found", (*audit.fairness.findings, *linked)),
        ("Not measurable", audit.unmeasurable),
        ("What this does not say", audit.limits),
    ):
        if sentences:
            said += [heading, *(f"  {sentence}" for sentence in sentences)]
    return said


def html(audit: Audit) -> str:
    """One page; everything that a stranger wrote is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    titles = {p.name: p.title for p in audit.population.partitions}
    held: dict[str, list[str]] = {}
    for gap in audit.fairness.gaps:
        if gap.within and titles[gap.partition] not in held.setdefault(titles[gap.within], []):
            held[titles[gap.within]].append(titles[gap.partition])
    return environment.get_template("audit.html").render(
        audit=audit,
        measures=measures(audit),
        number=number,
        p=p_text,
        remarks=REMARKS,
        titles=titles,
        withins=[{"within": within, "of": ", ".join(names)} for within, names in held.items()],
    )


def write(audit: Audit, folder: Path) -> tuple[Path, Path]:
    """Write `audit.html` and `audit.json` into `folder` and return their paths. The same audit gives the same bytes."""
    page, data = folder / "audit.html", folder / "audit.json"
    atomic.write_text(page, html(audit))
    atomic.write_text(data, audit.model_dump_json(indent=1) + "\n")  # pydantic writes null for what JSON cannot say
    return page, data
