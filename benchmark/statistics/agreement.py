"""How far an order hangs on the rule that made it: Kendall's τ between rules, the podium by each, one submission left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from benchmark.fairness import Agreement, Reordering, RuleOrder, Tau
from benchmark.statistics import ranking
from benchmark.statistics.bootstrap import Resampling

Floats = NDArray[np.float64]

WORDS = {
    "mean_of_ranks": "the mean of the ranks",
    "rank_of_means": "the rank of the means",
    "significance": "the number of significant wins",
    "synthrad2023": "the min–max sum of SynthRAD2023",
    "performance_and_fairness": "performance and fairness",
}
SHOWN = 3
"""Reorderings that the warning spells out; the record has all."""
LEFT_OUT_AT_MOST = 200
"""Submissions up to which each is left out in turn."""


def agreement(
    losses: Floats,
    names: Sequence[str],
    rule: str,
    sampling: Resampling,
    *,
    options: ranking.Options = ranking.PLAIN,
    declared: Mapping[str, float] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Agreement:
    """Compare all rules on `losses` (submissions, cases, metrics); `rule` is the task's own, `names` the submissions.

    `declared` are the ranks by the task's own rule where they are made from other losses (`performance_and_fairness`). `titles`
    are what the sentences call the submissions. Needs at least two submissions: raises `ValueError` with fewer.
    """
    if len(names) < 2:
        raise ValueError("rules can disagree on two submissions or more")
    ranks: dict[str, Floats] = {}
    if declared is not None:
        ranks[rule] = np.array([declared[name] for name in names])
    for other in sorted(ranking.RULES, key=lambda item: item != rule):
        ranks.setdefault(other, ranking.competition(ranking.statistic(losses, other, sampling, options=options)))
    taus = [
        Tau(first=a, second=b, tau=tau(ranks[a], ranks[b])) for i, a in enumerate(ranks) for b in list(ranks)[i + 1 :]
    ]
    called = [(titles or {}).get(name, name) for name in names]
    podiums = {
        other: podium(values, called)
        for other, values in ranks.items()
        if other == rule or contradicts(ranks[rule], values)
    }
    changed = leave_one_out(losses, names, options) if len(names) <= LEFT_OUT_AT_MOST else ()
    return Agreement(
        orders=tuple(
            RuleOrder(
                rule=other, ranks=dict(zip(names, (float(v) for v in values), strict=True)), declared=other == rule
            )
            for other, values in ranks.items()
        ),
        taus=tuple(taus),
        podium_agrees=len(podiums) == 1,
        reorderings=changed,
        warnings=(*_podium_warnings(rule, podiums), *_reordering_warnings(rule, changed, titles or {})),
    )


def tau(first: Floats, second: Floats) -> float | None:
    """Kendall's τ-b of two rankings; None where one of them ties everything."""
    value = float(kendalltau(first, second).statistic)
    return None if np.isnan(value) else round(value, 12)  # 1 is 1


def podium(ranks: Floats, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Who holds ranks 1 to 3, best first; those who tie stand together, in the order of their names."""
    places = sorted({float(value) for value in ranks if value <= 3})
    return tuple(tuple(sorted(name for name, value in zip(names, ranks, strict=True) if value == p)) for p in places)


def contradicts(declared: Floats, other: Floats) -> bool:
    """Whether some submission on the podium by `declared` ranks is behind, by the `other` ranks, one that it was in front of.

    To tie what the other tells apart is no contradiction: rules that test say "not settled" more often than rules that count.
    """
    ahead = (declared[:, None] < declared) & (declared[:, None] <= 3)
    return bool((ahead & (other[:, None] > other)).any())


def leave_one_out(
    losses: Floats, names: Sequence[str], options: ranking.Options = ranking.PLAIN
) -> tuple[Reordering, ...]:
    """Whose leaving would reorder the others under `synthrad2023`: its scale is set by the best and the worst of each metric.

    A pair is reordered when the sign of its difference changes; becoming or ceasing to be tied counts.
    """
    teams, _, metrics = losses.shape
    weight = options.weight(metrics)
    mean = losses.mean(axis=1)

    def order(members: NDArray[np.intp]) -> Floats:
        score = ranking.min_max(mean[members], 0, weight)
        gap = score[:, None] - score
        return np.where(np.abs(gap) <= ranking.TOLERANCE, 0, np.sign(gap))

    whole = order(np.arange(teams))
    found = []
    for out in range(teams) if teams > 2 else ():
        rest = np.delete(np.arange(teams), out)
        before, after = whole[np.ix_(rest, rest)], order(rest)
        changed = np.triu(before != after, 1)
        pairs = []
        for i, j in zip(*np.nonzero(changed), strict=True):
            gains, loses = (i, j) if after[i, j] < before[i, j] else (j, i)
            pairs.append((names[rest[gains]], names[rest[loses]]))
        if pairs:
            found.append(Reordering(without=names[out], pairs=tuple(sorted(pairs))))
    return tuple(sorted(found, key=lambda item: item.without))


def _podium_warnings(rule: str, podiums: Mapping[str, tuple[tuple[str, ...], ...]]) -> list[str]:
    others: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for other, places in podiums.items():
        if other != rule:
            others.setdefault(places, []).append(WORDS[other])
    return [
        f"The podium hangs on the ranking rule: by {WORDS[rule]}, this board's rule, it is {_written(podiums[rule])}; "
        f"by {' and by '.join(rules)} it would be {_written(places)}."
        for places, rules in others.items()
    ]


def _written(places: tuple[tuple[str, ...], ...]) -> str:
    return "; ".join(" = ".join(tied) for tied in places)


def _reordering_warnings(rule: str, changed: Sequence[Reordering], titles: Mapping[str, str]) -> list[str]:
    if not changed:
        return []
    told = []
    for item in changed[:SHOWN]:
        gains, loses = (titles.get(name, name) for name in item.pairs[0])
        more = f" (and {len(item.pairs) - 1} more pairs)" if len(item.pairs) > 1 else ""
        told.append(f"without {titles.get(item.without, item.without)}, {gains} would gain on {loses}{more}")
    rest = f"; and so for {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    whose = "this board's rule, the" if rule == "synthrad2023" else "the"
    return [f"Under {whose} min–max sum of SynthRAD2023 the order hangs on who takes part: {'; '.join(told)}{rest}."]
