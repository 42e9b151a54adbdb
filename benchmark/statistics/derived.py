"""What follows from published values by group or by site alone, where the cases behind them cannot be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.contract import FairnessRules, SiteMetric
from benchmark.fairness import Fairness, Gap, Population
from benchmark.statistics import gaps
from benchmark.statistics.fairness import FPR, TPR
from benchmark.statistics.paired import holm_adjusted


def consequences(found: Fairness, people: Population, rules: FairnessRules) -> dict[str, Any]:
    """The part of an audit's record that follows from the group values and single p-values in it: best and worst group, gap, ratio,
    Holm's correction, the equalised odds, how many gaps were tested. In the shape of the record."""
    made = [_gap(gap, people) for gap in found.gaps]
    tested = [i for i, gap in enumerate(found.gaps) if gap.p is not None]
    adjusted = holm_adjusted(np.array([found.gaps[i].p for i in tested], np.float64))
    for item in made:
        item |= {"p_holm": None, "more_than_chance": False}
    for i, p in zip(tested, adjusted.tolist(), strict=True):
        made[i] |= {"p_holm": p, "more_than_chance": p <= rules.alpha}
    odds = []
    for partition in people.partitions:
        rates = {
            gap.measure: own["gap"]
            for gap, own in zip(found.gaps, made, strict=True)
            if gap.partition == partition.name
        }
        tpr, fpr = rates.get(TPR), rates.get(FPR)
        if tpr is not None and fpr is not None:
            odds.append({"partition": partition.name, "tpr_gap": tpr, "fpr_gap": fpr, "difference": max(tpr, fpr)})
    return {"gaps": made, "odds": odds, "tests": len(tested), "permutations": gaps.PERMUTATIONS}


def _gap(gap: Gap, people: Population) -> dict[str, Any]:
    compared = {group.name for group in people.partition(gap.partition).compared}
    known = {v.group: v.value for v in gap.values if v.group in compared and v.value is not None}
    if len(known) < 2:
        return {"best": "", "worst": "", "gap": None, "ratio": None}
    top, bottom = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    best, worst = (top, bottom) if gap.direction == "higher" else (bottom, top)
    values = np.array(list(known.values()))[:, None]
    ratio = float(gaps.ratio(values)[0])
    return {
        "best": best,
        "worst": worst,
        "gap": float(gaps.spread(values)[0]),
        "ratio": None if np.isnan(ratio) else ratio,
    }


def site_metric(line: SiteMetric, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One metric over sites of which some sent sums alone: cases, mean and range over all follow from those of each. `known` are the
    records of sites whose cases are on the board, by name."""
    total = sum(site.n for site in line.sites)
    means = [site.value for site in line.sites]
    return {
        "metric": line.metric,
        "sites": [dict(known.get(site.site, {})) for site in line.sites],
        "n": total,
        "value": sum(site.n * site.value for site in line.sites) / total,
        "range": max(means) - min(means),
    }
