"""`radbench store` and `radbench ledger`: what the organiser does with what is kept."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark import console, dataset, store, tasks
from benchmark.cli_options import AsJson, TaskDirs, Work, existing, print_json, workplace
from benchmark.contract import FEDERATED, RunRecord
from benchmark.errors import DataError, RadbenchError, UsageError
from benchmark.workplace import Workplace

if TYPE_CHECKING:
    from benchmark.ledger import Ledger

store_app = typer.Typer(no_args_is_help=True, help="Check, tidy and move what the store holds.")
ledger_app = typer.Typer(no_args_is_help=True, help="What happened, in a chain that shows every later change.")

SHOWN = 20
"""Findings that are printed; all of them with --json."""


@store_app.command()
def check(
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare names and sizes, and read no file for its hash.")
    ] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Read every record, recompute every hash and key, and say what is damaged, missing or does not belong there. Changes nothing."""
    from benchmark.store import check as checking

    root = _existing(workplace(work))
    with console.Bars() as bars:
        found = checking.check(root, content=not quick, progress=lambda done, total: bars.update("check", done, total))
    place = workplace(work)
    if (root / "bundles").is_dir() or any(place.data.glob(f"*/{FEDERATED}")):
        from benchmark.federation import keeping

        more = [
            checking.Finding(level="problem", where=where, text=text)
            for where, text in keeping.problems(root, place.data)
        ]
        found = found.model_copy(update={"findings": (*found.findings, *more)})
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        for finding in [*found.problems, *(f for f in found.findings if f.level == "note")][:SHOWN]:
            _print(f"{finding.level}: {finding.where}: {finding.text}")
        if len(found.findings) > SHOWN:
            _print(f"and {len(found.findings) - SHOWN} more; --json has them all")
        _print(
            f"{found.runs} runs, {found.scores} scores, {found.placements} placements; {found.files} files with "
            f"{_size(found.bytes)} by {'size' if quick else 'hash'}, {found.keys} keys recomputed: {len(found.problems)} problems"
        )
    if found.problems:
        first = found.problems[0]
        raise DataError("store_broken", f"{first.where}: {first.text}")


@store_app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    keep_runs: Annotated[int | None, typer.Option(min=0, help="Keep the newest N runs of each submission.")] = None,
    keep_days: Annotated[int | None, typer.Option(min=0, help="Keep runs younger than so many days.")] = None,
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Remove predictions that no rule keeps ([retention] in radbench.toml, or the options). Scores, records, pinned runs and those on
    the board stay, and so do canary predictions."""
    from benchmark.nightly import config as configuration
    from benchmark.store import retention

    place = workplace(work)
    root = _existing(place)
    rule = configuration.load(place.root / configuration.FILE).retention
    given = {"keep_runs": keep_runs, "keep_days": keep_days}
    rule = rule.model_copy(update={key: value for key, value in given.items() if value is not None})

    def canary(run: RunRecord) -> Collection[str] | None:
        try:
            folder = tasks.find(run.task, task_dirs or ())
            return [case.id for case in dataset.load(place.data, folder.task, run.edition).split("canary")]
        except RadbenchError:
            return None

    if dry_run:
        planned = retention.plan(root, rule, canary=canary)
    else:
        with _organiser(place, "store gc") as book:
            _migrate(root, book)
            planned = retention.collect(root, retention.plan(root, rule, canary=canary), rule)
            if planned.removals:
                book.append("store_changed", what="gc", runs=len(planned.removals), bytes=planned.bytes)
    if as_json:
        print_json({"dry_run": dry_run, "bytes": planned.bytes, **planned.model_dump(mode="json")})
        return
    word = "would go" if dry_run else "removed"
    for removal in planned.removals:
        text = f"{removal.run} {removal.submission} on {removal.task}/{removal.edition}"
        _print(f"{word}: {text}: {len(removal.files)} files, {_size(removal.bytes)}")
    for name in planned.leftovers:
        _print(f"{word}: {name}, left by a process that was killed")
    for why, count in planned.kept.items():
        _print(f"kept: {count} runs ({why})")
    _print(
        f"{_size(planned.bytes)} {'would become free' if dry_run else 'removed'}; {rule}"
        if rule.declared
        else "no rule"
    )


@store_app.command()
def pin(
    subject: Annotated[str, typer.Argument(help="Key of a run, or name of a submission.")],
    work: Work = None,
) -> None:
    """Keep the predictions of a run, or of all runs of a submission, whatever the retention rule says."""
    _pin(subject, workplace(work), True)


@store_app.command()
def unpin(
    subject: Annotated[str, typer.Argument(help="Key of a run, or name of a submission.")],
    work: Work = None,
) -> None:
    """Let the retention rule decide again."""
    _pin(subject, workplace(work), False)


@store_app.command("export")
def export_archive(
    file: Annotated[Path, typer.Argument(help="Archive to write, such as store.tar.")],
    task: Annotated[str | None, typer.Option(help="Of this task only.")] = None,
    edition: Annotated[str | None, typer.Option(help="On this data edition only.")] = None,
    submission: Annotated[str | None, typer.Option(help="Of this submission only.")] = None,
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys", help="The secret keys of this house too: only to move house; keep the file secret."
        ),
    ] = False,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Write what the store holds into one file, and the ledger with it where nothing is left out; the same content gives the same
    bytes. It holds what was predicted for sealed cases: hand it to organisers only."""
    from benchmark.store import archive

    root = _existing(workplace(work))
    made = archive.export(root, file, task=task, edition=edition, submission=submission, keys=with_keys)
    if made.keys:
        console.err.print(
            f"Warning: {file} holds secret keys ({', '.join(made.keys)}): whoever has it can tell who is behind a pseudonym. It is for "
            "your eyes alone (mode 0600); hand it over encrypted, and delete it when it was taken in.",
            markup=False,
        )
    elif with_keys:
        console.err.print("There is no secret key in this work folder yet, and none in the archive.", markup=False)
    elif made.embargoed:
        console.err.print(
            f"Warning: {made.embargoed} submissions have an embargo, and {file} does not hold store/embargo.key, under which their "
            "addresses are made: a work folder without it gives them others. Move it by itself, or export with --with-keys.",
            markup=False,
        )
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    _print(f"{made.runs} runs, {made.scores} scores, {made.placements} placements, {_size(made.bytes)} in {file}")
    if more := _along(made.reproductions, made.bundles, made.pins, made.keys, made.ledger):
        _print(f"and {more}")
    _print(f"sha256 {made.sha256}")


@store_app.command("import")
def import_archive(
    file: Annotated[Path, typer.Argument(help="Archive of `radbench store export`.")],
    sha256: Annotated[str, typer.Option(help="Its hash, as the export printed it.")] = "",
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Check an archive down to every hash and key and put what is new into the work folder. What is there already is never changed."""
    from benchmark.store import archive

    place = workplace(work)
    if not place.root.is_dir() and not file.is_file():  # before a folder is made for what is not there
        raise UsageError("path", f"there is no file {file}", expected="an archive of `radbench store export`")
    with _organiser(place, "store import") as book, console.Bars() as bars:
        _migrate(place.store, book)
        done = archive.take_in(
            file, place.store, sha256=sha256, progress=lambda now, all: bars.update("import", now, all)
        )
        # Also where an import was killed before it could say so.
        if not any(entry.facts.get("archive") == done.sha256 for entry in book.entries()):
            book.append(
                "store_changed",
                what="import",
                runs=len(done.runs),
                scores=len(done.scores),
                bytes=done.bytes,
                archive=done.sha256,
            )
    if done.ledger == "other":
        console.err.print(
            f"The ledger in {file} is of another chain than {place.ledger}, which stays as it is: keep the archive for what it says.",
            markup=False,
        )
    if as_json:
        print_json(done.model_dump(mode="json"))
        return
    _print(
        f"{len(done.runs)} runs, {len(done.scores)} scores, {done.placements} placements are new ({_size(done.bytes)}); "
        f"{done.same} were there already"
    )
    if more := _along(done.reproductions, done.bundles, bool(done.pins), done.keys, done.ledger == "new"):
        _print(f"and {more}")


def _along(reproductions: int, bundles: int, pins: bool, keys: Collection[str], ledger: bool) -> str:
    """What went along, in words."""
    parts = [
        f"{reproductions} reproductions" if reproductions else "",
        f"{bundles} bundles of federated scores" if bundles else "",
        "what is pinned" if pins else "",
        "the ledger" if ledger else "",
        f"the secret keys {', '.join(keys)}" if keys else "",
    ]
    return ", ".join(part for part in parts if part)


@ledger_app.command()
def show(
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind.")] = None,
    submission: Annotated[str | None, typer.Option(help="Only entries on this submission.")] = None,
    last: Annotated[int, typer.Option(min=1, help="Only so many from the end.")] = 50,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Print what happened, oldest first."""
    from benchmark import ledger

    path = existing(work).ledger
    if kind is not None and kind not in ledger.RECORDS:
        raise UsageError("unknown_name", f"--kind {kind}", expected=f"one of {', '.join(ledger.RECORDS)}")
    found = [
        entry
        for entry in ledger.Ledger(path).entries()
        if (kind is None or entry.kind == kind) and (submission is None or entry.facts.get("submission") == submission)
    ][-last:]
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in found])
        return
    for entry in found:
        said = "  ".join(f"{key}={_fact(value)}" for key, value in entry.facts.items())
        notes = " (the clock went back)" if entry.clock_back else ""
        notes += " (after a torn line)" if entry.torn_bytes else ""
        _print(f"{entry.sequence:>6}  {entry.time[:19]}Z  {entry.kind:<14}  {said}{notes}")
    if not found:
        _print(f"nothing of that in {path}" if path.exists() else f"there is no ledger {path} yet")


@ledger_app.command("verify")
def verify_ledger(
    head: Annotated[
        list[str] | None,
        typer.Option(help="A head that was published or noted (NUMBER:SHA256); may be given several times."),
    ] = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the chain: every edit, removal, insertion and exchange is found; lines cut from the end by the heads noted before."""
    from benchmark import ledger

    path = existing(work).ledger
    problems = ledger.verify(path, head or ())
    torn, count = ledger.torn_bytes(path), ledger.count(path)
    now = None
    with contextlib.suppress(DataError):
        now = ledger.Ledger(path).head()
    if as_json:
        print_json({"entries": count, "head": str(now) if now else None, "torn_bytes": torn, "problems": problems})
    else:
        for text in problems[:SHOWN]:
            _print(text)
        if torn:
            _print(f"a torn line of {torn} bytes at the end, left by a kill; the next entry moves it aside")
        _print(f"{count} entries, {len(problems)} problems; head {now or 'none'}")
    if problems:
        raise DataError("ledger_broken", f"{path}: {problems[0]}")


def _pin(subject: str, place: Workplace, pinned: bool) -> None:
    from benchmark.store import pins

    root = _existing(place)
    names = {item.method.name for item in store.load_placements(root)}
    for path in sorted(root.glob("runs/[!.]*/run.json")):
        run = store.load_run(root, path.parent.name)
        names |= {run.key, run.method.name} if run else set()
    if pinned and subject not in names:
        raise UsageError(
            "unknown_name", f"the store has no run and no submission {subject!r}", expected="a key or a name"
        )
    if not pinned and subject not in pins.load_pins(root):
        raise UsageError("unknown_name", f"{subject!r} is not pinned", expected=", ".join(sorted(pins.load_pins(root))))
    with _organiser(place, "store pin") as book:
        _migrate(root, book)
        if pins.set_pin(root, subject, pinned):
            book.append("store_changed", what="pin" if pinned else "unpin", subject=subject)
    _print(f"{subject} is {'pinned' if pinned else 'no longer pinned'}")


@contextlib.contextmanager
def _organiser(place: Workplace, owner: str) -> Iterator[Ledger]:
    """The organiser's lease on the work folder, and the ledger."""
    from benchmark import lease
    from benchmark.ledger import Ledger

    with lease.hold(place.root, owner) as held:
        if held.took_over:
            console.err.print(held.took_over, markup=False)
        yield Ledger(place.ledger)


def _migrate(root: Path, book: Ledger) -> None:
    """Bring an older layout to the present one, and say so."""
    with console.Bars() as bars:
        before = store.open_store(root, progress=lambda done, total: bars.update("migrate", done, total))
    if 0 < before < store.VERSION:
        book.append("store_changed", what="migrate", schema_from=before, schema_to=store.VERSION)
        console.err.print(f"The store was brought from layout {before} to {store.VERSION}.", markup=False)


def _existing(place: Workplace) -> Path:
    if not place.store.is_dir():
        raise UsageError(
            "path", f"there is no store {place.store}", expected="a work folder in which something was run"
        )
    return place.store


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{_fact(item)}" for key, item in value.items()) or "none"
    return ",".join(map(_fact, value)) or "none" if isinstance(value, list) else str(value)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count} bytes"


def add(app: typer.Typer) -> None:
    """Add `radbench store` and `radbench ledger`."""
    app.add_typer(store_app, name="store")
    app.add_typer(ledger_app, name="ledger")
