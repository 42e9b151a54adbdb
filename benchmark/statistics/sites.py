"""Putting sites together: mean within each, over all, and how far they are apart.

Within a site: mean x̄ and its t interval, x̄ ± t(n−1)·s/√n. Over all: the mean of all cases, Σ nₛx̄ₛ/N, with the variance of a mean of
strata, Σ (nₛ/N)²·sₛ²/nₛ (Cochran, Sampling Techniques, 5.3), and t with Satterthwaite's degrees of freedom (Biometrics Bulletin 1946).
Apart: the range of the means, and I² = max(0, (Q − (k−1))/Q), the share of the spread of the means that is more than chance, from
Cochran's Q = Σ wₛ(x̄ₛ − x̄w)² with wₛ = nₛ/sₛ² (Higgins & Thompson, Statistics in Medicine 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

LEVEL = 0.95


@dataclass(frozen=True)
class Site:
    """What is known of one site: enough for all that is here."""

    n: int
    """Cases."""
    mean: float
    """Their mean."""
    variance: float
    """Variance of the sample (divisor n − 1)."""


def interval(site: Site, level: float = LEVEL) -> tuple[float, float]:
    """Ends of the t interval of a site's mean; of fewer than two cases the mean itself."""
    if site.n < 2:
        return site.mean, site.mean
    half = float(student.ppf((1 + level) / 2, site.n - 1)) * math.sqrt(site.variance / site.n)
    return site.mean - half, site.mean + half


def pooled(sites: Sequence[Site], level: float = LEVEL) -> tuple[float, float, float]:
    """Mean over all cases of all sites and the ends of its interval. Raises `ValueError` without a site."""
    if not sites:
        raise ValueError("no site")
    total = sum(site.n for site in sites)
    mean = sum(site.n * site.mean for site in sites) / total
    shares = [((site.n / total) ** 2 * site.variance / site.n, site.n - 1) for site in sites]
    variance = sum(share for share, _ in shares)
    if variance == 0 or any(freedom < 1 and share > 0 for share, freedom in shares):
        return mean, mean, mean
    freedom = variance**2 / sum(share**2 / free for share, free in shares if free > 0)
    half = float(student.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return mean, mean - half, mean + half


def heterogeneity(sites: Sequence[Site]) -> float | None:
    """I², in [0, 1]; None for fewer than two sites, or where a site's values are all equal, so that Q has no weight for it."""
    if len(sites) < 2 or any(site.n < 2 or site.variance <= 0 for site in sites):
        return None
    weights = [site.n / site.variance for site in sites]
    centre = sum(w * site.mean for w, site in zip(weights, sites, strict=True)) / sum(weights)
    q = sum(w * (site.mean - centre) ** 2 for w, site in zip(weights, sites, strict=True))
    return 0.0 if q <= len(sites) - 1 else (q - (len(sites) - 1)) / q
