"""The model card that goes with trained weights. Written by training, never by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from baselines import config as configuration
from baselines.config import Config
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
        used = task.metric(id)
        metric = REGISTRY[used.name]
        arrow = "↑" if metric.direction == "higher" else "↓"
        unit = f", {metric.unit}" if metric.unit else ""
        profile = f" ({used.options['profile']})" if "profile" in used.options else ""
        head.append(f"{used.title or metric.title}{profile}{unit} {arrow}")
        rule.append("---:")
    rows = [head, rule]
    for info in infos:
        figures = report.figures[info.edition]
        rows.append(
            [f"`{info.edition}`", str(report.cases[info.edition]["val"]), *(f"{figures[id]:.4g}" for id in ids)]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _notes(config: Config, infos: Sequence[DatasetInfo]) -> str:
    rounded = "" if config.data.labels else " and outputs rounded to whole HU"
    note = f"Means over cases, taken with the weights as stored (half precision){rounded}."
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
    return (
        f"{report.steps} steps of {t.batch} patches of {t.patch}×{t.patch} pixels, AdamW, learning rate {t.learning_rate:g} "
        f"(one cycle), moving average {t.ema:g}, seed {report.seed}; {time} on {where}. "
        "Training writes its losses into a log beside the weights."
    )
