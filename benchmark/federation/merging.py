"""At the organiser's: bundles are checked, kept, and put together as a data edition of their own, `federated`.

    <store>/bundles/<task>/<hash>.json      each bundle as it came; never changed
    <data>/<task>/federated/                dataset.json and cases.csv: keyed ids and sites, no images
    <store>/runs, scores, submissions       a run of the engine `federated` a submission, its scores, its row

The edition follows from the kept bundles alone, so it is made anew from all of them each time, and a killed merge is repaired by the
next one. A board compares submissions on the same cases; so a row needs values by case from every site of the board. A site that
sends sums alone has no cases on the board: it counts in the table by site, and in the value over all sites there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark import atomic, dataset, metrics, scoring, store
from benchmark.contract import FEDERATED, Case, CaseRun, DatasetInfo, Method, RunRecord, Score, Task
from benchmark.dataset import Edition
from benchmark.errors import DataError, UsageError, in_words
from benchmark.fairness import UNKNOWN
from benchmark.federation import agreement, pooling
from benchmark.federation import bundle as bundles
from benchmark.federation.bundle import Bundle, ScanPart
from benchmark.federation.making import OTHER, metrics_hash
from benchmark.metrics.points import Scan
from benchmark.statistics import population
from benchmark.store import Placement

FLAG = "Put together from numbers that sites computed on their own images; not run here, and nobody here has seen the images."
"""What the row says."""


@dataclass(frozen=True)
class Merged:
    """What a merge did."""

    added: tuple[str, ...]
    """Hashes of the bundles that are new."""
    sites: tuple[str, ...]
    """Sites with values by case."""
    summed: tuple[str, ...]
    """Sites with sums alone."""
    rows: tuple[str, ...]
    """Submissions that have a row."""
    waiting: dict[str, tuple[str, ...]]
    """By submission without a row: sites whose bundle it lacks."""


def folder(root: Path, task: str) -> Path:
    """Where the bundles of a task are kept."""
    return root / "bundles" / task


def kept(root: Path, task: str) -> list[Bundle]:
    """The bundles in the store, in order of their hashes."""
    return [bundles.read(path) for path in sorted(folder(root, task).glob("[!.]*.json"))]


def merge(new: Sequence[Bundle], task: Task, data: Path, root: Path, *, replace: bool = False) -> Merged:
    """Take in `new` and make the federated edition and its rows anew from all bundles of the task.

    Nothing is written when one of them is refused: `DataError('bundle_invalid')` names what disagrees and with what;
    `UsageError('bad_value')` for a second bundle of a site for a submission without `replace`, and where a row would be lost.
    """
    before = kept(root, task.name)
    for one in new:
        check(one, task)
    own = {(one.site, one.submission): one for one in before}
    added = []
    for one in new:
        old = own.get((one.site, one.submission))
        if old is not None and old.sha256 == one.sha256:
            continue
        if old is not None and not replace:
            raise UsageError(
                "bad_value",
                f"{one.site} has sent a bundle of {one.submission} before ({old.sha256[:12]}), and this one is another ({one.sha256[:12]})",
                expected="one bundle of a site for a submission, or --replace",
            )
        own[one.site, one.submission] = one
        added.append(one)
    current = [one for one in own.values() if _same_version(one, task)]
    if not current:
        raise UsageError(
            "path", f"there is no bundle of {task.name} by this task version and scorer", expected="BUNDLE…"
        )
    _agree(current)
    sites = sorted({one.site for one in current if one.kind == "cases"})
    every = sorted({one.submission for one in current})
    have = {name: {one.site for one in current if one.submission == name and one.kind == "cases"} for name in every}
    rows = [name for name in every if sites and have[name] == set(sites)]
    waiting = {name: tuple(sorted(set(sites) - have[name])) for name in every if name not in rows}
    standing = {p.method.name for p in store.load_placements(root, task.name, FEDERATED)}
    if lost := sorted(standing & set(waiting)):
        raise UsageError(
            "bad_value",
            f"{', '.join(lost)} would lose the row: there is no bundle of {', '.join(waiting[lost[0]])}",
            expected="bundles of a new site for every submission that has a row, in one call",
        )
    store.open_store(root)
    for one in added:
        old = next((b for b in before if (b.site, b.submission) == (one.site, one.submission)), None)
        bundles.write(one, folder(root, task.name) / f"{one.sha256[: store.KEY_LENGTH]}.json")
        if old is not None:
            (folder(root, task.name) / f"{old.sha256[: store.KEY_LENGTH]}.json").unlink()
    if rows:
        edition = _edition(task, data, [one for one in current if one.kind == "cases"], current, sites)
        for name in rows:
            _row(task, edition, [one for one in current if one.submission == name], root)
    summed = sorted({one.site for one in current if one.kind == "sums"})
    return Merged(tuple(one.sha256 for one in added), tuple(sites), tuple(summed), tuple(rows), waiting)


def check(one: Bundle, task: Task) -> None:
    """Whether a bundle belongs to this task, version and scorer, and its values are possible. Raises `DataError('bundle_invalid')`."""
    who = f"{one.site}'s bundle of {one.submission}"
    for what, theirs, ours in (
        ("task", one.task, task.name),
        ("version of the task", one.task_version, task.version),
        ("scorer", one.scorer, store.scorer_version()),
        ("metric section", one.metrics, metrics_hash(task)),
    ):
        if theirs != ours:
            raise DataError(
                "bundle_invalid",
                f"{who} was made with the {what} {theirs}",
                expected=f"{ours}, as here",
                action="Score again with the same version of radbench and of the task on both sides.",
            )
    if one.n < task.fairness.minimum or one.minimum < task.fairness.minimum or one.patients < task.fairness.minimum:
        raise DataError(
            "bundle_invalid", f"{who} is of {one.patients} patients", expected=f"at least {task.fairness.minimum}"
        )
    declared = {used.id: metrics.find(used.name) for used in task.metrics}
    by_case = {id for id, metric in declared.items() if metric.level == "case"}
    for line in one.cases:
        if set(line.values) != by_case or not set(line.status) <= by_case:
            raise DataError(
                "bundle_invalid", f"{who}: a case has other metrics than the task", expected=", ".join(sorted(by_case))
            )
        for id, value in line.values.items():
            _possible(who, id, float(value), declared[id])
    for total in one.sums:
        if total.metric not in by_case:
            raise DataError("bundle_invalid", f"{who} has sums of {total.metric}", expected=", ".join(sorted(by_case)))
        _possible(who, total.metric, total.mean, declared[total.metric])
    words = {a.name: {*a.values, OTHER, UNKNOWN} for a in task.attributes if a.values}
    for group in one.groups:
        names, values = group.partition.split("*"), group.group.split(population.JOIN)
        if len(names) != len(values) or any(v not in words.get(n, ()) for n, v in zip(names, values, strict=False)):
            raise DataError("bundle_invalid", f"{who} has a group that the task does not declare")
    agreement.check(one, task.fairness.minimum)
    of_sets = set(declared) - by_case
    if one.kind == "cases" and {id for part in one.parts for id in part.metrics} != of_sets:
        raise DataError(
            "bundle_invalid", f"{who} lacks parts of metrics of the set", expected=", ".join(sorted(of_sets))
        )
    for part in one.parts:
        for scan in part.scans.values():
            if any(p is not None and not 0 <= p <= 1 for p in (*scan.hits, *scan.false_positives, scan.highest)):
                raise DataError("bundle_invalid", f"{who} has a probability outside [0, 1]")


def _possible(who: str, id: str, value: float, metric: metrics.Metric) -> None:
    low, high = metric.range
    if not low <= value <= high:
        raise DataError("bundle_invalid", f"{who}: {id} has the value {value:g}", expected=f"from {low:g} to {high:g}")


def _same_version(one: Bundle, task: Task) -> bool:
    return (one.task_version, one.scorer, one.metrics) == (task.version, store.scorer_version(), metrics_hash(task))


def _agree(current: Sequence[Bundle]) -> None:
    """What must be the same within a site, within a submission, and must not be the same between sites."""
    first: dict[str, Bundle] = {}
    named: dict[str, Bundle] = {}
    seen: dict[tuple[str, ...], Bundle] = {}
    for one in sorted(current, key=lambda b: (b.submission, b.site)):
        if one.data != current[0].data:
            raise DataError(
                "bundle_invalid", f"{one.site} scored {one.data} data, {current[0].site} {current[0].data} data"
            )
        other = first.setdefault(one.site, one)
        ids = [{line.id for line in b.cases} for b in (one, other)]
        if one.references != other.references or (one.kind == other.kind and ids[0] != ids[1]):
            raise DataError(
                "bundle_invalid",
                f"{one.site} scored {one.submission} and {other.submission} on other cases, or with another secret key",
                expected="the same data edition and key for all submissions of a site",
            )
        if one.digest and (same := named.setdefault(one.submission, one)).digest != one.digest:
            raise DataError(
                "bundle_invalid",
                f"{one.site} ran {one.submission} with the digest {one.digest}, {same.site} with {same.digest}",
                expected="the same submission at all sites",
            )
        values = {store.canonical(line.values) for line in one.cases}
        if len(values) > 1:
            twin = seen.setdefault((one.submission, *sorted(values)), one)
            if twin is not one:
                raise DataError(
                    "bundle_invalid",
                    f"{one.site} and {twin.site} have the same values of {one.submission} in every case",
                    expected="each case at one site",
                )


def _id(site: str, case: str) -> str:
    return f"{site}-{case}"


def _edition(
    task: Task, data: Path, by_case: Sequence[Bundle], current: Sequence[Bundle], sites: Sequence[str]
) -> Edition:
    """The edition of all sites' cases; the one that is there is kept where nothing changes."""
    cases: dict[str, Case] = {}
    for one in by_case:
        for line in one.cases:
            attributes = {pooling.SITE: one.site}
            if task.cluster:
                attributes[task.cluster] = f"{one.site}-{line.patient}" if line.patient else _id(one.site, line.id)
            cases[_id(one.site, line.id)] = Case(id=_id(one.site, line.id), split="test", attributes=attributes)
    listed = [cases[id] for id in sorted(cases)]
    table = dataset.write_cases(listed)
    target = dataset.locate(data, task, FEDERATED)
    with atomic.folder(target) as made:
        (made / "cases.csv").write_text(table, "utf-8")
        info = DatasetInfo(
            task=task.name,
            task_version=task.version,
            edition=FEDERATED,
            kind=current[0].data,
            title=f"Federated: {len(sites)} site{'s' if len(sites) != 1 else ''}",
            description=(
                "Values by case that sites computed where their images lie. Here are keyed ids and numbers alone: no image, no reference, "
                "no attribute of a patient."
            ),
            licence="Numbers only",
            parameters={"bundles": sorted(one.sha256 for one in current)},
            counts={"test": len(listed)},
            files={"cases.csv": dataset.sha256_of(made / "cases.csv")},
            sites=tuple(sites),
        )
        atomic.write_json(made / "dataset.json", info.model_dump(mode="json"))
    return dataset.load(data, task, FEDERATED)


def _row(task: Task, edition: Edition, own: Sequence[Bundle], root: Path) -> None:
    """Run, score and placement of one submission."""
    declared = pooling.task_of(task, edition.info)
    ordered = sorted((one for one in own if one.kind == "cases"), key=lambda one: one.site)
    cases = edition.split("test")
    lines = {_id(one.site, line.id): line for one in ordered for line in one.cases}
    hashes = [one.sha256 for one in ordered]
    digest = next((one.digest for one in ordered if one.digest), "") or f"sha256:{store.digest(hashes)}"
    method = _method(task, ordered[0].submission, digest, root)
    payload = store.inference_payload(digest, declared, edition, cases, [FEDERATED, *hashes])
    record = RunRecord(
        key=store.digest(payload),
        task=task.name,
        edition=FEDERATED,
        method=method,
        digest=digest,
        engine=FEDERATED,
        hardware="",
        start_seconds=0,
        cases=tuple(
            CaseRun(
                case=case.id,
                seconds=0,
                code=(code := lines[case.id].code),
                reason=in_words("submission", code) if code else "",
            )
            for case in cases
        ),
        flags=(FLAG,),
    )
    if store.load_run(root, record.key) is None:
        with atomic.refusals(root), atomic.folder(store.run_folder(root, record.key)) as made:
            store.seal_run(made, record, payload, [])
    scores = [
        Score(
            case=case.id,
            metric=used.id,
            value=float(line.values[used.id]),
            unit=metrics.find(used.name).unit,
            status=line.status.get(used.id, "ok"),
            reason=f"{line.code}: {in_words('submission', line.code)}" if line.code else "",
        )
        for case in cases
        for line in [lines[case.id]]
        for used in task.metrics
        if used.id in line.values
    ]
    parts = {
        id: {
            _id(one.site, case): _scan(scan)
            for one in ordered
            for part in one.parts
            if id in part.metrics
            for case, scan in part.scans.items()
        }
        for id in dict.fromkeys(id for one in ordered for part in one.parts for id in part.metrics)
    }
    aligned = {id: [table[case.id] for case in cases] for id, table in parts.items()}
    score_payload = store.scoring_payload(record.key, declared, edition, cases)
    score = store.ScoreRecord(
        key=store.digest(score_payload),
        run=record.key,
        task=task.name,
        task_version=task.version,
        edition=FEDERATED,
        method=method,
        scorer=store.scorer_version(),
        aggregates=tuple(scoring.aggregate(declared, cases, scores, aligned)),
    )
    if store.load_score(root, score.key) is None:
        store.save_score(root, score, scores, parts, score_payload)
    store.save_placement(
        root, Placement(method=method, task=task.name, edition=FEDERATED, run=record.key, limits=task.limits)
    )


def _scan(part: ScanPart) -> Scan:
    hits = np.array([-math.inf if p is None else p for p in part.hits], dtype=np.float64)
    highest = -math.inf if part.highest is None else part.highest
    return Scan(hits, np.array(part.false_positives, dtype=np.float64), highest, part.missing)


def _method(task: Task, name: str, digest: str, root: Path) -> Method:
    """What the submission says of itself where it has a row here too, under the same digest; else its name alone."""
    for placement in store.load_placements(root, task.name):
        if placement.edition != FEDERATED and placement.method.name == name:
            run = store.load_run(root, placement.run)
            if run is not None and run.digest == digest:
                return placement.method
    return Method(name=name, title=name)


def summed(root: Path, task: Task, info: DatasetInfo, submission: str) -> list[Bundle]:
    """Bundles of sums alone that an edition names, for one submission."""
    wanted = set(info.parameters.get("bundles", ()))
    return [b for b in kept(root, task.name) if b.kind == "sums" and b.submission == submission and b.sha256 in wanted]
