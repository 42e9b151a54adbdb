"""Hand-made boards: three submissions on heads (phantom), one with a failed case, and five on a CT slab (real sample)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.contract import (
    Aggregate,
    Board,
    Case,
    Cost,
    DatasetInfo,
    Method,
    MetricInfo,
    Row,
    Score,
    Source,
    Task,
    TrainingFigure,
    TrainingSpread,
)
from benchmark.fairness import Association, Fairness, Gap, Group, GroupValue, Partition, Population, Suppression
from benchmark.image import Volume
from leaderboard.site import BoardData, CanaryCase

HEADS: dict[str, Any] = {
    "name": "mri_to_ct",
    "version": "1",
    "title": "MRI → CT",
    "summary": "Make a CT in Hounsfield units from an MR image of the head, so that radiotherapy can be planned without a CT scan.",
    "modality": "MR → CT",
    "anatomy": "head",
    "inputs": [
        {"slug": "mri", "kind": "image", "path": "images/mri", "title": "T1-weighted MR image, arbitrary units"}
    ],
    "outputs": [
        {"slug": "synthetic-ct", "kind": "image", "path": "images/synthetic-ct", "title": "Synthetic CT", "unit": "HU"}
    ],
    "references": [
        {"slug": "ct", "kind": "image", "path": "images/ct", "title": "CT", "unit": "HU"},
        {"slug": "mask", "kind": "segmentation", "path": "images/mask"},
    ],
    "scoring": {"prediction": "synthetic-ct", "reference": "ct", "mask": "mask"},
    "metrics": [
        {"name": "mae"},
        {"name": "psnr", "profile": "synthrad2023"},
        {"name": "ssim", "profile": "synthrad2023"},
    ],
    "ranking": {"metrics": ["mae", "psnr", "ssim"]},
    "display": {"input": "mri", "input_window": [0, 0], "window": [-1000, 1600], "error": [-500, 500]},
    "claims": [
        {
            "metric": "SSIM of the synthetic CT",
            "traditional": "—",
            "generative": "0.94",
            "source": "a motivating report",
        }
    ],
}

SLAB: dict[str, Any] = {
    "name": "denoising",
    "version": "1",
    "title": "Low-dose CT denoising",
    "summary": "Give a low-dose CT the quality of a full-dose one.",
    "modality": "CT",
    "anatomy": "chest and head",
    "inputs": [
        {"slug": "low-dose-ct", "kind": "image", "path": "images/low-dose-ct", "title": "Low-dose CT", "unit": "HU"}
    ],
    "outputs": [
        {"slug": "denoised-ct", "kind": "image", "path": "images/denoised-ct", "title": "Denoised CT", "unit": "HU"}
    ],
    "references": [
        {"slug": "full-dose-ct", "kind": "image", "path": "images/full-dose-ct", "title": "CT", "unit": "HU"}
    ],
    "scoring": {"prediction": "denoised-ct", "reference": "full-dose-ct"},
    "metrics": [{"name": "psnr_windowed"}, {"name": "ssim_windowed"}, {"name": "mae"}],
    "ranking": {"metrics": ["psnr_windowed", "ssim_windowed"]},
    "display": {"input": "low-dose-ct", "window": [-160, 240], "error": [-100, 100]},
}

METRICS = {
    "mae": ("MAE", "HU", "lower", 0.0, None, "2000 HU", "Mean absolute difference over the mask."),
    "psnr": ("PSNR", "dB", "higher", None, None, "0 dB", "Peak signal-to-noise ratio over the mask."),
    "ssim": ("SSIM", "", "higher", -1.0, 1.0, "−1", "Structural similarity."),
    "psnr_windowed": (
        "PSNR, windowed",
        "dB",
        "higher",
        None,
        None,
        "0 dB",
        "Peak signal-to-noise ratio in the window.",
    ),
    "ssim_windowed": ("SSIM, windowed", "", "higher", -1.0, 1.0, "−1", "Structural similarity in the window."),
}

FLAG = "Outputs changed with the order of the cases."

COST = Cost(
    start_seconds=3.14, seconds_median=0.42, seconds_p95=0.97, peak_memory_mb=1234.56, cpu_seconds=0.81, gpu_joules=None,
    hardware="AMD EPYC, 2 cores",
)  # fmt: skip

SEEDS = TrainingSpread(
    seeds=(1, 2, 3), shipped=2, cases={"phantom-1": 8}, command="radbench train mri_to_ct gan --seeds 1,2,3",
    figures=(
        TrainingFigure(edition="phantom-1", metric="mae", title="MAE", unit="HU", direction="lower", values=(53.0, 54.0, 57.0)),
        TrainingFigure(edition="phantom-1", metric="ssim", title="SSIM", direction="higher", values=(0.95, 0.96, 0.961)),
    ),
)  # fmt: skip

WORST = {"mae": 2000.0, "psnr": 0.0, "ssim": -1.0, "psnr_windowed": 0.0, "ssim_windowed": -1.0}


def info(id: str) -> MetricInfo:
    title, unit, direction, low, high, worst, definition = METRICS[id]
    return MetricInfo(
        id=id, name=id, title=title, unit=unit, direction=direction, low=low, high=high, worst=worst,
        definition=definition, citation="Wang et al., IEEE TIP 13:600, 2004",
        options={"profile": "synthrad2023"} if id in ("psnr", "ssim") else {},
    )  # fmt: skip


def row(
    name: str,
    title: str,
    family: str,
    values: dict[str, tuple[float, float, float]],
    ranks: tuple[float, float, float],
    *,
    tied: tuple[str, ...] = (),
    failed: int = 0,
    n: int = 12,
    flags: tuple[str, ...] = (),
    cost: Cost | None = None,
    **method: Any,
) -> Row:
    return Row(
        method=Method(name=name, title=title, family=family, **method),
        run=f"run-{name}-" + "a" * 32,
        score=f"score-{name}-" + "b" * 32,
        digest="sha256:" + "0123456789abcdef" * 4,
        engine="process/invoke",
        hardware="2 cores, x86-64",
        rank=ranks[0],
        rank_low=ranks[1],
        rank_high=ranks[2],
        tied_with=tied,
        aggregates=tuple(
            Aggregate(metric=id, value=v, low=lo, high=hi, n=n, n_worst=failed, method="BCa, 10000 draws", median=v)
            for id, (v, lo, hi) in values.items()
        ),
        seconds_median=0.42,
        seconds_start=3.1,
        failed=failed,
        flags=flags,
        cost=cost,
    )


def table(row: Row, cases: list[Case], units: dict[str, str], seed: int) -> list[Score]:
    """A per-case table whose first cases are the failed ones."""
    rng = np.random.default_rng(seed)
    scores = []
    for index, case in enumerate(cases):
        for a in row.aggregates:
            if index < row.failed:
                reason = "geometry: found size 32×32×8; expected that of the reference. Copy size, spacing, origin and direction."
                scores.append(
                    Score(
                        case=case.id,
                        metric=a.metric,
                        value=WORST[a.metric],
                        unit=units[a.metric],
                        status="invalid",
                        reason=reason,
                    )
                )
            else:
                value = float(a.value + (a.high - a.low) * rng.normal())
                scores.append(Score(case=case.id, metric=a.metric, value=value, unit=units[a.metric], status="ok"))
    return scores


def head(shape: tuple[int, int, int], shift: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """CT-like head in HU and its mask: an ellipsoid with a skull, a dark dot at the front, a bright one on the patient's left."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt((z / 0.95) ** 2 + (y / 0.85) ** 2 + ((x - shift) / 0.68) ** 2)
    ct = np.where(radius < 1, 35.0, -1000.0)
    ct[(radius > 0.86) & (radius < 0.95)] = 1100
    ct[np.sqrt(z**2 + (y / 0.3) ** 2 + (x / 0.12) ** 2) < 1] = 8
    ct[np.sqrt(z**2 + ((y + 0.62) / 0.12) ** 2 + (x / 0.1) ** 2) < 1] = -980  # a sinus: to the front, −y
    ct[np.sqrt(z**2 + (y / 0.1) ** 2 + ((x - 0.4) / 0.1) ** 2) < 1] = 600  # to the left, +x
    return ct.astype(np.float32), radius < 1


def canary(
    id: str,
    names: list[str],
    failing: set[str],
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    rows: list[Row],
    units: dict[str, str],
    *,
    noise: float,
    mr: bool,
    masked: bool,
) -> CanaryCase:
    case = Case(id=id, split="canary")
    seed = sum(map(ord, id))
    ct, inside = head(shape, shift=0.02 * (seed % 5))
    rng = np.random.default_rng(seed)
    ground = np.where(inside, np.where(ct > 300, 40, 500 + ct), 5) if mr else ct
    grain = rng.normal(0, noise, shape).astype(np.float32)

    def volume(array: NDArray[Any]) -> Volume:
        return Volume(array, spacing, (-90.0, -100.0, -80.0))

    def prediction(index: int) -> Callable[[], Volume]:
        def load() -> Volume:
            own = np.random.default_rng(seed + index).normal(0, noise / (1 + index), shape)
            return volume((ct + own + np.where(ct > 300, -120 * index, 0)).astype(np.float32))

        return load

    def nothing() -> None:
        return None

    scores = {}
    for r in rows:
        bad = r.method.name in failing
        scores[r.method.name] = [
            Score(
                case=id, metric=a.metric, value=WORST[a.metric] if bad else a.value, unit=units[a.metric],
                status="missing" if bad else "ok", reason="missing: no output was found for this case." if bad else "",
            )
            for a in r.aggregates
        ]  # fmt: skip
    return CanaryCase(
        case=case,
        input=lambda: volume((ground + grain).astype(np.float32)),
        reference=lambda: volume(ct),
        mask=(lambda: volume(inside.astype(np.uint8))) if masked else nothing,
        predictions={n: nothing if n in failing else prediction(i) for i, n in enumerate(names)},
        scores=scores,
    )


def assemble(
    task: dict[str, Any], kind: str, rows: list[Row], *, cases: int, canaries: int, failing: set[str],
    shape: tuple[int, int, int], spacing: tuple[float, float, float], noise: float,
) -> BoardData:  # fmt: skip
    loaded = Task.model_validate(task)
    infos = tuple(info(metric.id) for metric in loaded.metrics)
    units = {m.id: m.unit for m in infos}
    listed = [Case(id=f"case-{i + 1:03d}", split="test", attributes={"sex": "female"}) for i in range(cases)]
    dataset = DatasetInfo(
        task=loaded.name, task_version="1", edition="phantom-1" if kind == "phantom" else "sample-1", kind=kind,
        title="Analytic heads" if kind == "phantom" else "Four public CT scans",
        description="Made by formula from a seed." if kind == "phantom" else "Slabs of public scans with noise added in the sinogram.",
        licence="CC0-1.0" if kind == "phantom" else "see the sources",
        sources=() if kind == "phantom" else (
            Source(title="Chest CT", licence="CC BY 4.0", citation="A. Author, 2015", origin="package x, file y", sha256="ab" * 32),
        ),
        counts={"train": 20, "canary": canaries, "test": cases},
    )  # fmt: skip
    board = Board(
        task=loaded, dataset=dataset, split="test", metrics=infos, rows=tuple(rows), scorer="radbench 0.1.0, sha256 1f2e3d",
        notes=("Learned models beat the classical one on every metric; the order of the first two is not settled.",),
    )  # fmt: skip
    names = [r.method.name for r in rows]
    return BoardData(
        board,
        {r.method.name: table(r, listed, units, i) for i, r in enumerate(rows)},
        listed,
        [
            canary(f"canary-{i + 1}", names, failing if i == 0 else set(), shape, spacing, rows, units,
                   noise=noise, mr=kind == "phantom", masked=kind == "phantom")
            for i in range(canaries)
        ],
    )  # fmt: skip


def audited(data: BoardData) -> BoardData:
    """The board with an audit by sex and by scanner; the scanner's second group is too small, and so is one of the crossing."""

    def group(*values: str, n: int | None, why: Suppression = "") -> Group:
        return Group(name=" × ".join(values), values=values, n=n, patients=n, suppressed=why)

    sex = Partition(name="sex", attributes=("sex",), title="Sex", groups=(group("female", n=7), group("male", n=5)))
    scanner = Partition(
        name="scanner", attributes=("scanner",), title="Scanner",
        groups=(group("1.5T", n=6), group("3T", n=None, why="small"), group("0.35T", n=0, why="empty")),
    )  # fmt: skip
    both = Partition(
        name="sex*scanner", attributes=("sex", "scanner"), title="Sex × Scanner",
        groups=(group("female", "1.5T", n=6), group("male", "3T", n=None, why="complementary"), group("male", "1.5T", n=5)),
    )  # fmt: skip
    population = Population(
        minimum=5, n=12, patients=12, partitions=(sex, scanner, both),
        associations=(Association(first="sex", second="scanner", cramers_v=0.61, p=0.004, strong=True,
                                  sentence="Sex and scanner go together: a gap by one may be a gap by the other."),),
        unmeasurable=("Scanner: too few cases at 3T.",),
    )  # fmt: skip

    def gap(row: Row, partition: Partition, metric: MetricInfo, number: int) -> Gap:
        own, sign = row.aggregate(metric.id), 1 if metric.direction == "lower" else -1
        reach = (own.high - own.low) / 2
        values = []
        for i, g in enumerate(partition.groups):
            if g.suppressed:
                values.append(GroupValue(group=g.name, value=None, reason="the group is too small"))
            else:
                v = own.value + sign * reach * (2.5 * (i == 1) - 0.4 * (i == 0)) * (
                    partition.name == "sex" and number == 0
                )
                values.append(GroupValue(group=g.name, value=v, low=v - reach, high=v + reach, n=g.n))
        known = [v.value for v in values if v.value is not None]
        shown = len(known) > 1
        return Gap(
            partition=partition.name, measure=metric.id, direction=metric.direction, values=tuple(values),
            best=partition.groups[0].name if shown else "", worst=partition.groups[1].name if shown else "",
            gap=max(known) - min(known) if shown else None, null_mean=reach / 2 if shown else None,
            null_high=reach if shown else None, p=0.002 if shown else None,
            p_holm=(0.006 if number == 0 else 0.8) if shown else None, more_than_chance=shown and number == 0,
        )  # fmt: skip

    rows = tuple(
        row.model_copy(update={"fairness": Fairness(
            gaps=tuple(gap(row, p, m, i) for p in population.partitions for i, m in enumerate(data.board.metrics)),
            permutations=2000, tests=6, findings=(f"{row.method.title}: worse for male patients, by more than chance.",),
        )})
        for row in data.board.rows
    )  # fmt: skip
    return replace(data, board=data.board.model_copy(update={"rows": rows, "population": population}))


def many(count: int = 120) -> BoardData:
    """A board of so many submissions, on two pages and more; no pictures."""
    families = ("unet", "gan", "classical", "other")
    rows = [
        row(f"model-{i:03d}", f"Model {i}", families[i % 4],
            {"mae": (50 + i, 48 + i, 52 + i), "psnr": (30 - i / 10, 29 - i / 10, 31 - i / 10),
             "ssim": (0.95 - i / 500, 0.94 - i / 500, 0.96 - i / 500)},
            (i + 1, max(1, i - 1), min(count, i + 3)), tied=(f"model-{i - 1:03d}",) if i else (), n=4,
            flags=(FLAG,) if i == count - 1 else ())
        for i in range(count)
    ]  # fmt: skip
    return assemble(
        {**HEADS, "name": "many", "title": "Many"}, "phantom", rows, cases=4, canaries=0, failing=set(), shape=(4, 8, 8),
        spacing=(3.0, 3.0, 3.0), noise=40,
    )  # fmt: skip


def heads(*, canaries: int = 2, shape: tuple[int, int, int] = (20, 24, 24)) -> BoardData:
    """Three submissions with an audit; the last one fails two of twelve cases and one canary case."""
    rows = [
        row("unet", "U-Net, L1", "unet", {"mae": (52.2, 49.1, 55.9), "psnr": (29.3, 28.8, 29.9), "ssim": (0.9641, 0.9602, 0.9672)},
            (1, 1, 2), tied=("gan",), baseline=True, description="A small U-Net trained with the L1 loss."),
        row("gan", "Conditional GAN", "gan", {"mae": (54.0, 50.3, 58.8), "psnr": (28.9, 28.3, 29.6), "ssim": (0.9600, 0.9555, 0.9640)},
            (2, 1, 2), tied=("unet",), baseline=True, flags=(FLAG,), cost=COST, training=SEEDS),
        row("water", "All water", "classical", {"mae": (433.0, 210.0, 760.0), "psnr": (16.1, 12.0, 18.4), "ssim": (0.52, 0.31, 0.66)},
            (3, 3, 3), failed=2, team="Team Floor"),
    ]  # fmt: skip
    return audited(
        assemble(
            HEADS, "phantom", rows, cases=12, canaries=canaries, failing={"water"}, shape=shape, spacing=(3.0, 3.0, 3.0),
            noise=40,
        )
    )  # fmt: skip


def slab(*, canaries: int = 1, shape: tuple[int, int, int] = (3, 40, 40)) -> BoardData:
    """Five submissions on a real sample."""
    names = [
        ("vae", "Conditional VAE", "vae"), ("unet", "U-Net, L1", "unet"), ("gan", "Conditional GAN", "gan"),
        ("nlm", "Non-local means", "classical"), ("identity", "No change", "classical"),
    ]  # fmt: skip
    rows = [
        row(name, title, family,
            {"psnr_windowed": (31.2 - i, 30.4 - i, 32.1 - i), "ssim_windowed": (0.88 - 0.02 * i, 0.86 - 0.02 * i, 0.895 - 0.02 * i),
             "mae": (9.5 + 2 * i, 8.1 + 2 * i, 11.2 + 2 * i)},
            (i + 1, max(1, i), min(5, i + 2)), tied=tuple(n for j, (n, _, _) in enumerate(names) if abs(i - j) == 1), baseline=True, n=9)
        for i, (name, title, family) in enumerate(names)
    ]  # fmt: skip
    return assemble(
        SLAB, "real", rows, cases=9, canaries=canaries, failing=set(), shape=shape, spacing=(2.0, 0.7, 0.7), noise=45
    )


def retitled(data: BoardData, text: str) -> BoardData:
    """The board with `text` wherever a stranger may write: method, team, reason, notes."""
    rows = tuple(
        r.model_copy(update={"method": r.method.model_copy(update={
            "title": text, "team": text, "description": text, "citation": text, "licence": text,
            "training": SEEDS.model_copy(update={"command": text, "figures": tuple(
                f.model_copy(update={"title": text, "unit": text}) for f in SEEDS.figures)})}),
            "hardware": text, "engine": text, "flags": (text, text), "cost": COST.model_copy(update={"hardware": text})})
        for r in data.board.rows
    )  # fmt: skip
    scores = {
        n: [s.model_copy(update={"reason": text, "status": "invalid"}) for s in t] for n, t in data.scores.items()
    }
    return replace(data, board=data.board.model_copy(update={"rows": rows, "notes": (text,)}), scores=scores)


def files_of(root: Path) -> dict[str, bytes]:
    """Every file below `root`."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
