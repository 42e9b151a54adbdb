"""The model card that goes with trained weights. Written by training, never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from baselines import config as configuration
from baselines.config import Config
from baselines.spread import SeedRecord
from benchmark.contract import DatasetInfo, Task
from benchmark.metrics.registry import REGISTRY

if TYPE_CHECKING:
    from baselines.training import TrainingReport


def render(task: Task, config: Config, infos: Sequence[DatasetInfo], report: TrainingReport) -> str:
    """Markdown: what it is, what it learned from, how it does on the validation split, how to make it again."""
    baseline, about = report.baseline, config.method
    parts = [
        "<!-- Written by `radbench train`; do not edit. -->",
        f"# {about.title} for {task.title}",
        about.description,
        f"- Baseline: `{baseline.name}`, family `{baseline.family}`, task `{task.name}` (version {task.version})",
        f"- Reference: {about.citation}",
        f"- Licence of code and weights: {about.licence}",
        _weights(report),
        "",
        "## Data",
        *(_edition(info, report) for info in infos),
        _missing(config, infos),
        "The train split was learned from; settings were chosen, and the figures below taken, on the val split. The canary and "
        "test splits were not opened.",
        about.remark,
        "",
        "## Figures on the validation split",
        _figures(task, infos, report),
        "",
        _notes(config, infos),
        "",
        "## How it was made",
        _made(config, report),
        "",
        "```",
        _command(config, report),
        "```",
        "",
        "## Use and limits",
        "A reference for a benchmark, not a medical device. Outputs outside the kind of data named above are not tested.",
    ]
    return "\n".join(part for part in _spaced(parts) if part is not None) + "\n"


def _spaced(parts: Sequence[str]) -> list[str]:
    """A blank line around headings and paragraphs; list items stay together."""
    lines: list[str] = []
    fenced = False
    for part in parts:
        if not part:
            continue
        item = part.startswith("- ")
        if lines and not (item and lines[-1].startswith("- ")) and not fenced:
            lines.append("")
        lines.append(part)
        fenced = (not fenced) if part == "```" else fenced
    return lines


def _weights(report: TrainingReport) -> str:
    if not report.weights_sha256:
        return "- Weights: none; the method has no fitted parameters"
    return (
        f"- Weights: `{report.baseline.stem}.safetensors`, {report.parameters:,} numbers in half precision, "
        f"sha256 `{report.weights_sha256}`"
    )


def _edition(info: DatasetInfo, report: TrainingReport) -> str:
    counts = report.cases[info.edition]
    kind = "phantoms, made by formula" if info.kind == "phantom" else "real images"
    sources = "; ".join(f"{source.title} ({source.licence})" for source in info.sources)
    return (
        f"- `{info.edition}` ({kind}): {info.title}. {counts['train']} train and {counts['val']} val cases, "
        f"licence {info.licence}{f'. Sources of the edition, all splits together: {sources}' if sources else ''}. "
        f"Hash of both splits `{report.inputs[info.edition][:16]}`"
    )


def _missing(config: Config, infos: Sequence[DatasetInfo]) -> str:
    absent = [name for name in config.data.editions if name not in {info.edition for info in infos}]
    return (
        f"- Not there at training, and so not learned from: {', '.join(f'`{name}`' for name in absent)}"
        if absent
        else ""
    )


def _figures(task: Task, infos: Sequence[DatasetInfo], report: TrainingReport) -> str:
    ids = list(next(iter(report.figures.values())))
    head, rule = ["edition", "cases"], ["---", "---:"]
    for id in ids:
        metric = REGISTRY[task.metric(id).name]
        head.append(_heading(title_of(task, id), metric.unit, metric.direction))
        rule.append("---:")
    rows = [head, rule]
    for info in infos:
        figures = report.figures[info.edition]
        rows.append(
            [f"`{info.edition}`", str(report.cases[info.edition]["val"]), *(f"{figures[id]:.4g}" for id in ids)]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def title_of(task: Task, id: str) -> str:
    """Heading of a metric of a task, with what the task fixes of it where two would have the same one."""
    used = task.metric(id)
    profile = f" ({used.options['profile']})" if "profile" in used.options else ""
    return f"{used.title or REGISTRY[used.name].title}{profile}"


def _heading(title: str, unit: str, direction: str) -> str:
    return f"{title}{f', {unit}' if unit else ''} {'↑' if direction == 'higher' else '↓'}"


SPREAD_HEADING = "## Over "
"""How the section on training seeds begins."""

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten"}


def with_spread(text: str, record: SeedRecord) -> str:
    """A card with the section on training seeds, in place of the one that it had."""
    sections = text.split("\n## ")
    kept = [part for part in sections if not f"## {part}".startswith(SPREAD_HEADING)]
    place = next((i for i, part in enumerate(kept) if part.startswith("How it was made")), len(kept))
    kept.insert(place, _spread(record).removeprefix("## "))
    return "\n## ".join(kept)


def _spread(record: SeedRecord) -> str:
    found = record.spread
    count = len(found.seeds)
    others = [one for one in record.seeds if one.seed != record.shipped]
    head = ["edition", "figure", "mean ± sd", "range", *(f"seed {seed}" for seed in found.seeds)]
    rows = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    rows += [
        [
            f"`{figure.edition}`",
            _heading(figure.title, figure.unit, figure.direction),
            f"{figure.mean:.4g} ± {figure.sd:.2g}",
            f"{figure.low:.4g} to {figure.high:.4g}",
            *(f"{value:.4g}" for value in figure.values),
        ]
        for figure in found.figures
    ]
    seconds = [f"{one.cpu_seconds:.0f} s" for one in others if one.cpu_seconds is not None]
    took = f" They took {' and '.join(seconds)} of processor time on {record.hardware}." if seconds else ""
    weights = "; ".join(f"seed {one.seed} `{one.weights_sha256[:16]}`" for one in others)
    lines = [
        f"{SPREAD_HEADING}{NUMBERS.get(count, str(count))} training seeds",
        "",
        f"The shipped weights are those of seed {record.shipped}, which was fixed beforehand. The others learned from the same data "
        f"under the same settings; their weights are not kept here (sha256: {weights}).{took} Figures on the val split, standard "
        "deviation of the sample of seeds (divisor n - 1):",
        "",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        "```",
        record.command,
        "```",
        "",
    ]
    return "\n".join(lines)


def _notes(config: Config, infos: Sequence[DatasetInfo]) -> str:
    rounded = "" if config.data.labels else " and outputs rounded to whole HU"
    note = f"Means over cases, taken with the weights as stored (half precision){rounded}."
    if config.detection:
        note = (
            "Taken over the lesions and marks of all cases together, with the weights as stored (half precision). The probabilities "
            "were scaled on the same cases, by two numbers that leave the order of the marks as it is: what stands at a "
            "probability of 0.5 is a little flattered by that, the rest is not. So few lesions tell only large differences."
        )
    if all(info.kind == "phantom" for info in infos):
        note += " They stand on phantoms and say nothing about patients."
    elif any(info.kind == "real" for info in infos):
        note += (
            " The real images are few: the figures show that the method works on them, not how it does in a population."
        )
    return note


def _command(config: Config, report: TrainingReport) -> str:
    baseline = report.baseline
    line = f"radbench train {baseline.task} {baseline.name} --seed {report.seed}"
    usual = configuration.load(baseline.config, baseline.family).training
    if usual and config.training and config.training.steps != usual.steps:
        line += f" --steps {config.training.steps}"
    return line


def _made(config: Config, report: TrainingReport) -> str:
    where = f"{report.hardware}, {report.device}, {report.threads} thread{'s' if report.threads > 1 else ''}"
    time = f"{report.seconds:.0f} s ({report.cpu_seconds:.0f} s of processor time)"
    if report.baseline.weights is None:
        return f"Nothing is fitted; the figures were taken on {where}."
    if config.training is None:
        best = report.log[-1]
        settings = ", ".join(f"{k} = {v}" for k, v in best.items() if k not in ("event", "metric", "value"))
        return (
            f"{report.steps} settings were tried on the val split in {time} on {where}; the best one by "
            f"{best['metric']} ({best['value']:.4g}, mean over editions) was {settings}. Training writes the others into a log "
            "beside the weights."
        )
    t = config.training
    seen = f"patches of {t.patch}×{t.patch} pixels"
    if config.detection and config.detection.scales_mm:
        edge = config.detection.crop
        seen = f"cubes of {edge}×{edge}×{edge} samples {config.detection.pitch_mm:g} mm apart"
    return (
        f"{report.steps} steps of {t.batch} {seen}, AdamW, learning rate {t.learning_rate:g} "
        f"(one cycle), moving average {t.ema:g}, seed {report.seed}; {time} on {where}. "
        "Training writes its losses into a log beside the weights."
    )
