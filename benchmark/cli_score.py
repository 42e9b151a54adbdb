"""The commands `score` and `merge`: loose predictions, bundles of numbers for federated boards, and putting these together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark import atomic, cli_participant, console, dataset, secret, store, tasks
from benchmark.cli_options import AsJson, TaskDirs, Work, existing, print_json, say, workplace
from benchmark.cli_options import edition as edition_of
from benchmark.contract import SPLITS, RunRecord, Score, Task
from benchmark.dataset import Edition
from benchmark.errors import UsageError
from benchmark.workplace import Workplace

SharedKey = Annotated[
    Path | None, typer.Option("--shared-key", help="Key that site and organiser both hold, for the detached HMAC.")
]


def add(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command()(score)
    app.command()(merge)


def score(
    task: Annotated[str, typer.Argument(help="Task name.")],
    predictions: Annotated[
        Path | None, typer.Option(help="Folder with <case>.mha (or .nii.gz, .json), or <case>/ as an output tree.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for cases.csv and summary.json.")] = None,
    data: Annotated[str, typer.Option(help="Edition name, or the path of an edition.")] = "phantom",
    split: Annotated[str, typer.Option(help="train, val, canary or test.")] = "test",
    publish_as: Annotated[
        str,
        typer.Option(
            help="Keep canary and test predictions under this name, for `radbench publish`: a row without a run."
        ),
    ] = "",
    title: Annotated[str, typer.Option(help="With --publish-as: name on the leaderboard (default: the name).")] = "",
    family: Annotated[str, typer.Option(help="With --publish-as: classical, unet, gan, vae, diffusion …")] = "other",
    team: Annotated[str, typer.Option(help="With --publish-as: who made the predictions.")] = "",
    run: Annotated[
        str, typer.Option(help="In place of --predictions: a stored run by key, or by the submission's name.")
    ] = "",
    bundle: Annotated[
        Path | None, typer.Option(help="Write a bundle for federated scoring: numbers alone; see docs/federated.md.")
    ] = None,
    site: Annotated[str, typer.Option(help="With --bundle: name of this site.")] = "",
    submission: Annotated[str, typer.Option(help="With --bundle and --predictions: what made them.")] = "",
    digest: Annotated[
        str, typer.Option(help="With --bundle and --predictions: digest of the image that made them.")
    ] = "",
    aggregates_only: Annotated[
        bool, typer.Option("--aggregates-only", help="With --bundle: sums over all cases, and no case by itself.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(help="With --bundle: this site's secret key (default: federation.key in --work, made once)."),
    ] = None,
    shared_key: SharedKey = None,
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Score loose prediction files, with the very code that scores submissions; or write a bundle of numbers for another organiser."""
    from benchmark import loose, scoring

    if split not in SPLITS:
        raise UsageError("bad_value", f"--split {split}", expected=f"one of {', '.join(SPLITS)}")
    if (predictions is None) == (not run):
        raise UsageError(
            "bad_value",
            "both or neither of --predictions and --run",
            expected="one of them",
            action="Add --predictions FOLDER, or --run NAME for what the store holds.",
        )
    if predictions is not None and not predictions.is_dir():
        raise UsageError("path", f"there is no folder {predictions}", expected="a folder of predictions")
    if predictions is not None and out is None and bundle is None:
        raise UsageError(
            "bad_value", "neither --out nor --bundle", expected="where the scores go", action="Add --out FOLDER."
        )
    if bundle is not None and split != "test":
        raise UsageError("bad_value", f"--bundle with --split {split}", expected="the test split")
    if bundle is None and run:
        raise UsageError(
            "bad_value", "--run without --bundle", expected="--bundle FILE; a stored run is scored already"
        )
    if bundle is not None:
        from benchmark.federation.bundle import check_site

        check_site(site)
        if shared_key is not None:  # before anything is scored
            _shared(shared_key)
        if predictions is not None and not submission:
            raise UsageError(
                "bad_value", "--bundle without --submission", expected="the name of what made the predictions"
            )
    declared = tasks.find(task, task_dirs or ()).task
    place = workplace(work)
    edition = edition_of(declared, data, place)
    method = cli_participant.method_of(declared, publish_as, title, family, team, split) if publish_as else None
    if predictions is None:
        assert bundle is not None
        record = _stored(declared, edition, run, place)
        found = scoring.score_run(declared, edition, record, place.store)
        parts = store.load_parts(place.store, found.key)
        scores = store.load_case_scores(place.store, found.key)
        _write(declared, edition, scores, parts, bundle, site, record.method.name, record.digest, record.engine,
               aggregates_only, key or place.federation_key, shared_key)  # fmt: skip
        return
    with console.Bars() as bars:
        scored = scoring.score_loose(
            declared,
            edition,
            predictions,
            split,
            progress=lambda done, total: bars.update("score", done, total),
        )
    if bundle is not None:
        cases = [case.id for case in edition.split("test")]
        own = {id: dict(zip(cases, table, strict=True)) for id, table in scored.parts.items()}
        _write(declared, edition, scored.scores, own, bundle, site, submission, digest, "predictions",
               aggregates_only, key or place.federation_key, shared_key)  # fmt: skip
    if out is None:
        return
    summary = scoring.summary(declared, edition, split, scored)
    atomic.write_text(out / "cases.csv", store.scores_to_csv(scored.scores))
    atomic.write_json(out / "summary.json", summary)
    if method is not None:
        record = loose.keep(declared, edition, predictions, method, place.store)
        scoring.score_run(declared, edition, record, place.store)
        say(f"kept as {method.name!r}, run {record.key}; `radbench publish` shows it")
    if as_json:
        print_json(summary)
        return
    units = {score.metric: score.unit for score in scored.scores}
    for item in scored.aggregates:
        unit = units.get(item.metric, "")
        worst = f", {item.n_worst} with the worst value" if item.n_worst else ""
        console.out.print(
            f"{item.metric:>16}  {console.number(item.value, unit)} {unit}  "
            f"[{console.number(item.low, unit)}, {console.number(item.high, unit)}]  "
            f"({item.n} cases{worst})",
            markup=False,
        )
    for case, reason in summary["problems"].items():
        console.out.print(f"{case}: {reason}", markup=False)
    for case, hint in scored.hints.items():
        console.out.print(f"{case}: hint: {hint}", markup=False)
    console.out.print(f"{out / 'cases.csv'} and {out / 'summary.json'} written", markup=False)


def _stored(task: Task, edition: Edition, word: str, place: Workplace) -> RunRecord:
    """The stored run of that key, or that stands for the submission of that name. Raises `UsageError('unknown_name')`."""
    found = store.load_run(place.store, word) if store.run_folder(place.store, word).is_dir() else None
    if found is None:
        from benchmark import publishing

        runs = [run for run, _ in publishing.scored(task, edition, place.store)]
        found = next((run for run in runs if run.method.name == word), None)
        if found is None:
            names = ", ".join(sorted(run.method.name for run in runs)) or "none that is scored"
            raise UsageError(
                "unknown_name",
                f"there is no run {word!r} of {task.name} on {edition.info.edition!r}",
                expected=f"one of {names}",
            )
    if (found.task, found.edition) != (task.name, edition.info.edition):
        raise UsageError(
            "bad_value", f"run {word} is on {found.task}/{found.edition}", expected=f"one on {edition.info.edition}"
        )
    return found


def _write(
    task: Task, edition: Edition, scores: list[Score], parts: dict[str, dict[str, Any]], path: Path, site: str, submission: str,
    digest: str, engine: str, sums_only: bool, key: Path, shared: Path | None,
) -> None:  # fmt: skip
    from benchmark.federation import bundle, making

    if not key.exists():
        say(f"a secret key is made, {key}: keep it, and never send it")
    secret_key = secret.load_key(key)
    agreed = None if shared is None else _shared(shared)
    if agreed is not None and agreed.lower() in (secret_key.hex().encode(), secret_key):
        raise UsageError(
            "bad_value",
            f"the shared key {shared} is this site's secret key",
            expected="another one",
            action="Agree on a key for this alone; with the secret one the organiser could guess ids of cases and try them.",
        )
    found = making.make(
        task,
        edition,
        scores,
        parts,
        site=site,
        key=secret_key,
        submission=submission,
        digest=digest,
        engine=engine,
        sums_only=sums_only,
    )
    bundle.write(found, path)
    what = "sums over" if sums_only else "values of"
    console.out.print(
        f"{path}: {what} {found.n} cases of {found.patients} patients; sha256 {found.sha256}", markup=False
    )
    withheld = sum(group.suppressed in ("small", "complementary") for group in found.groups)
    console.out.print(f"{len(found.groups)} groups, {withheld} of them withheld", markup=False)
    if found.left_out:
        console.out.print(f"left out, since their values are not declared: {', '.join(found.left_out)}", markup=False)
    if agreed is not None:
        signed = path.with_name(f"{path.name}.hmac")
        atomic.write_text(signed, bundle.signature(path, agreed) + "\n")
        console.out.print(f"{signed} written", markup=False)


SHARED_BYTES = (16, 4096)
"""Bytes of a shared key, without space around them: fewer can be tried, and more are some other file."""


def _shared(path: Path) -> bytes:
    """The key in that file. Raises `UsageError`: `path` where there is none that can be read, `bad_value` for one that is none."""
    least, most = SHARED_BYTES
    try:
        with path.open("rb") as handle:
            key = handle.read(most + 1).strip()
    except OSError:
        raise UsageError(
            "path", f"there is no key {path}", expected="a file that site and organiser both hold"
        ) from None
    if not least <= len(key) <= most:
        many = f"more than {most}" if len(key) > most else len(key)
        raise UsageError(
            "bad_value",
            f"the shared key {path} has {many} bytes",
            expected=f"{least} to {most}",
            action="Make one with `openssl rand -hex 32`, and hand it over by another way than the bundles.",
        )
    return key


def merge(
    bundles: Annotated[
        list[Path] | None, typer.Argument(help="Bundles; none: put together again what was taken in before.")
    ] = None,
    task: Annotated[str, typer.Option(help="Task name (default: that of the first bundle).")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="A bundle takes the place of the site's earlier one.")
    ] = False,
    shared_key: SharedKey = None,
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Check sites' bundles, keep them, and put them together as an edition of their own, for `radbench publish`."""
    from benchmark import lease
    from benchmark.federation import bundle, merging
    from benchmark.ledger import Ledger

    place = workplace(work) if bundles else existing(work)
    found = []
    key = None if shared_key is None else _shared(shared_key)
    for path in bundles or ():
        signed = path.with_name(f"{path.name}.hmac")
        if key is not None:
            bundle.check_signature(path, signed, key)
        elif signed.exists():
            say(f"{signed} was not looked at: --shared-key says under which key")
        found.append(bundle.read(path))
    name = task or (found[0].task if found else "")
    if not name:
        raise UsageError("bad_value", "no bundle and no --task", expected="BUNDLE… or --task")
    declared = tasks.find(name, task_dirs or ()).task
    if not found and not merging.folder(place.store, name).is_dir():
        raise UsageError("path", f"there is no bundle of {name} in {place.store}", expected="BUNDLE…")
    place.root.mkdir(parents=True, exist_ok=True)
    with lease.hold(place.root, "radbench merge"):
        result = merging.merge(found, declared, place.data, place.store, replace=replace)
        for sha in result.added:
            Ledger(place.ledger).append("store_changed", what="import", scores=1, archive=sha, subject=f"bundle/{name}")
    if as_json:
        print_json(
            {
                "added": result.added,
                "sites": result.sites,
                "sums": result.summed,
                "rows": result.rows,
                "waiting": result.waiting,
            }
        )
        return
    console.out.print(
        f"{len(result.added)} new bundle(s); sites: {', '.join(result.sites) or 'none by case'}", markup=False
    )
    if result.summed:
        console.out.print(f"with sums alone: {', '.join(result.summed)}", markup=False)
    for row, lacks in result.waiting.items():
        console.out.print(f"{row} has no row yet: it lacks {', '.join(lacks) or 'values by case'}", markup=False)
    if result.rows:
        edition = dataset.load(place.data, declared, "federated")
        console.out.print(
            f"{name}/federated: {len(edition.cases)} cases, rows: {', '.join(result.rows)}; `radbench publish` shows them",
            markup=False,
        )
