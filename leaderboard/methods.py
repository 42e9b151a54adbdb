"""What the page of methods says: each metric as the tasks use it, and the ranking rules, without doubles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.contract import MetricInfo
from leaderboard.views import RULES, BoardView

RULE_TEXTS = {
    "mean_of_ranks": "On each case and metric the submissions are ranked; equals share the lowest rank. The ranks are averaged "
    "over metrics, then over cases, and the submissions are ordered by that mean.",
    "rank_of_means": "On each metric the submissions are ranked by their mean over the cases; these ranks are averaged over "
    "metrics.",
    "significance": "On each metric a submission's rank is 1 plus the number of submissions that are significantly better "
    "(paired Wilcoxon signed-rank test, Holm's correction over all pairs, 5 %); these ranks are averaged over metrics.",
    "synthrad2023": "On each metric the mean is scaled so that the best submission gets 1 and the worst 0; the scaled values are "
    "summed. The order of two submissions can change when a third, poor one takes part; kept for comparison.",
    "performance_and_fairness": "A weighted sum of performance and fairness, where fairness is 1 minus the mean range of the "
    "group means over the declared attributes, as in the MAMA-MIA challenge.",
}


@dataclass(frozen=True)
class Used:
    """A metric as tasks use it."""

    info: MetricInfo
    anchor: str
    tasks: tuple[tuple[str, str], ...]
    """(title, folder) of the boards that show it."""
    ranked: bool

    @property
    def options(self) -> list[tuple[str, str]]:
        return [(key, str(value)) for key, value in sorted(self.info.options.items()) if value is not None]


def used(views: Sequence[BoardView]) -> list[Used]:
    """Every metric of every board once; the same metric with other options is another entry."""
    found: dict[str, tuple[MetricInfo, list[tuple[str, str]], bool]] = {}
    for view in views:
        for column in view.columns:
            key = column.info.model_dump_json(exclude={"id"})
            info, tasks, ranked = found.get(key, (column.info, [], False))
            label = f"{view.board.task.title} ({view.badge.lower()})"
            found[key] = (info, [*tasks, (label, view.folder)], ranked or column.ranked)
    entries: list[Used] = []
    for info, tasks, ranked in found.values():
        number = sum(entry.info.name == info.name for entry in entries)
        anchor = f"m-{info.name}" + (f"-{number + 1}" if number else "")
        entries.append(Used(info, anchor, tuple(tasks), ranked))
    return entries


@dataclass(frozen=True)
class Rule:
    """A ranking rule and the boards that use it."""

    name: str
    short: str
    text: str
    tasks: tuple[tuple[str, str], ...]


def rules(views: Sequence[BoardView]) -> list[Rule]:
    """Every ranking rule, with the boards that rank by it."""
    return [
        Rule(
            name,
            RULES[name].rstrip(","),
            text,
            tuple(
                (f"{view.board.task.title} ({view.badge.lower()})", view.folder)
                for view in views
                if view.board.task.ranking.rule == name
            ),
        )
        for name, text in RULE_TEXTS.items()
    ]
