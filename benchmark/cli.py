"""The command `radbench`. Thin: it finds things, calls the rooms, prints; every rule lives elsewhere."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from benchmark import (
    cli_import,
    cli_organiser,
    cli_participant,
    cli_run,
    cli_score,
    cli_store,
    cli_training,
    console,
    dataset,
    tasks,
)
from benchmark.cli_options import AsJson, TaskDirs, Work, existing, print_json, say, workplace
from benchmark.errors import DataError, InfrastructureError, RadbenchError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A challenge harness for generative AI in medical imaging.",
)


@app.callback()
def everywhere(context: typer.Context, task_dirs: TaskDirs = None) -> None:
    """A challenge harness for generative AI in medical imaging."""
    if task_dirs:
        context.with_resource(tasks.also(task_dirs))


def _cache() -> Path:
    from benchmark.download import cache_folder

    return cache_folder()


@app.command("tasks")
def list_tasks(task_dirs: TaskDirs = None, as_json: AsJson = False) -> None:
    """List the tasks: what goes in, what must come out, how it is ranked."""
    found = tasks.load_all(task_dirs or ())
    if as_json:
        print_json([folder.task.model_dump(mode="json") for folder in found])
        return
    for folder in found:
        task = folder.task
        console.out.print(f"[bold]{task.name}[/bold]  {task.title}, version {task.version}")
        console.out.print(f"  {task.summary}", markup=False)
        console.out.print(
            f"  in: {', '.join(s.slug for s in task.inputs)}; out: {', '.join(s.slug for s in task.outputs)}; "
            f"metrics: {', '.join(m.id for m in task.metrics)}; ranked by {task.ranking.rule}",
            markup=False,
        )
        kinds = [kind for kind in ("phantom", "sample") if hasattr(folder.data(), kind)]
        importers = sorted(getattr(folder.data(), "IMPORTERS", {}))
        console.out.print(
            f"  editions: {', '.join(kinds)}" + (f"; imports: {', '.join(importers)}" if importers else ""),
            markup=False,
        )


@app.command()
def prepare(
    task: Annotated[str, typer.Argument(help="Task name, see `radbench tasks`.")],
    sample: Annotated[bool, typer.Option("--sample", help="The small real sample instead of phantoms.")] = False,
    size: Annotated[int | None, typer.Option(help="Phantoms: voxels along an edge (32 to 128).")] = None,
    seed: Annotated[int | None, typer.Option(help="Phantoms: seed.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; 0 means one a core.")] = 0,
    task_dirs: TaskDirs = None,
    work: Work = None,
) -> None:
    """Make a data edition: phantoms by formula, or the small sample of real images. The same call gives the same bytes."""
    folder = tasks.find(task, task_dirs or ())
    if sample:
        if size is not None or seed is not None:
            raise UsageError("bad_value", "--size and --seed are for phantoms", expected="--sample alone")
        plan = folder.maker("sample")(_cache(), progress=lambda text: console.err.print(f"  {text}", markup=False))
    else:
        options = {key: value for key, value in (("size", size), ("seed", seed)) if value is not None}
        if size is not None and not 32 <= size <= 128:
            raise UsageError("bad_value", f"--size {size}", expected="32 to 128 voxels")
        plan = folder.maker("phantom")(**options)
    cli_import.carry_out(folder, plan, workplace(work), workers)


app.command("import")(cli_import.import_data)


@app.command()
def audit(
    task: Annotated[str, typer.Argument(help="Task name.")],
    submission: Annotated[str, typer.Argument(help="Name of a submission that has been run and scored.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for audit.html and audit.json (default: audits in --work).")
    ] = None,
    data: Annotated[str, typer.Option(help="Edition name.")] = "phantom",
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Audit a scored submission for fairness across the task's subgroups: who was measured, which gaps are more than chance."""
    from benchmark import audit as audits
    from benchmark import audit_report, board, publishing

    place = workplace(work)
    folder = tasks.find(task, task_dirs or ())
    edition = dataset.load(place.data, folder.task, data)
    scored = publishing.scored(folder.task, edition, place.store)
    found = audits.of_store(folder.task, edition, scored, submission, place.store, board.describe(folder.task))
    target = out or place.root / "audits" / task / data / submission
    page, table = audit_report.write(found, target)
    if as_json:
        sys.stdout.write(found.model_dump_json(indent=1) + "\n")
        return
    console.out.print(audit_report.table(found))
    for line in audit_report.lines(found):
        console.out.print(line, markup=False)
    console.out.print(f"{page} and {table} written", markup=False)


@app.command()
def publish(
    task_dirs: TaskDirs = None,
    work: Work = None,
    date: Annotated[str | None, typer.Option(help="Date of the edition, YYYY-MM-DD (default: today).")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of the site, for citations (default: as last given).")
    ] = None,
) -> None:
    """Build the static site from everything in the store that has been scored with the code and data of now."""
    from benchmark import publishing

    place = existing(work)
    when = date or datetime.date.today().isoformat()
    try:
        datetime.date.fromisoformat(when)
    except ValueError:
        raise UsageError("bad_value", f"--date {when}", expected="a date such as 2026-01-31") from None
    entries = publishing.entries(tasks.load_all(task_dirs or ()), place.data, place.store)
    if not entries:
        raise UsageError(
            "path", f"nothing in {place.store} has been scored yet", action="Run `radbench run TASK` first."
        )
    published = publishing.publish_boards(entries, place.store, place.site, when, base_url)
    state = "new edition" if published.changed else "unchanged"
    console.out.print(f"{state} {published.edition}: {published.path}", markup=False)


@app.command()
def cite(
    target: Annotated[
        str, typer.Argument(help="EDITION, EDITION/TASK or EDITION/TASK/SUBMISSION; EDITION may be `newest`.")
    ],
    format: Annotated[str, typer.Option(help="bibtex, cff, latex, csv or json.")] = "bibtex",
    site: Annotated[Path | None, typer.Option(help="Folder of the site (default: that of --work).")] = None,
    work: Work = None,
) -> None:
    """Print the citation or the table of an edition, a board or a row, as it was published."""
    from leaderboard import citation

    sys.stdout.write(citation.published_text(site or workplace(work).site, target, format))


@app.command()
def verify(
    site: Annotated[
        Path | None, typer.Argument(help="Folder of a published site; that of the work folder without.")
    ] = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Check every hash of a site, and recompute every aggregate, interval and rank from its per-case tables.

    With --work (or without SITE) the ledger in the work folder is checked too, also against the heads that the site notes.
    """
    from leaderboard import verification

    place = existing(work) if site is None else workplace(work)
    if site is None and not any(place.site.glob("editions/[!.]*")):
        raise UsageError("path", f"there is no edition in {place.site}", action="Run `radbench publish` first.")
    book = place.ledger if work is not None or site is None else None
    found = verification.verify(site or place.site, book)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        for text in found.unchecked:
            console.out.print(f"not recomputed: {text}", markup=False)
        for text in found.differences:
            console.out.print(text, markup=False)
        console.out.print(
            f"{found.editions} editions, {found.files} files by hash, {found.numbers} numbers recomputed: "
            f"{len(found.differences)} differences",
            markup=False,
        )
    if found.differences:
        raise DataError("site_differs", found.differences[0])


@app.command()
def demo(
    train: Annotated[
        bool, typer.Option("--train", help="Train the baselines first instead of taking the shipped weights.")
    ] = False,
    task: Annotated[list[str] | None, typer.Option(help="Only these tasks; may be given several times.")] = None,
    task_dirs: TaskDirs = None,
    work: Work = None,
) -> None:
    """The whole way: prepare data, run every baseline as a submission, score, rank, publish. Reuses what is unchanged."""
    from benchmark import demo as whole

    with console.Bars() as bars:
        boards, published = whole.run(
            workplace(work),
            _cache(),
            names=task or whole.TASKS,
            extra=task_dirs or (),
            train=train,
            say=say,
            progress=bars.update,
        )
    for board in boards:
        console.out.print()
        console.out.print(console.board_table(board))
        for note in board.notes:
            console.out.print(f"  {note}", markup=False)
    console.out.print()
    for board in boards:
        what = "phantoms, made by formula" if board.dataset.kind == "phantom" else "real images of patients"
        console.out.print(f"{board.task.title}: edition {board.dataset.edition!r}, {what}", markup=False)
    state = "a new edition" if published.changed else "unchanged since the last run"
    console.out.print(f"Leaderboard ({state}): {published.path.resolve()}", markup=False)


cli_organiser.add(app)
cli_run.add(app)
cli_score.add(app)
cli_participant.add(app)
cli_store.add(app)
cli_training.add(app)


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    # Once: a terminal that closes says so twice, and the second must not break into the cleaning up after the first.
    for sent in ENDING:
        signal.signal(sent, lambda *_: None)  # not SIG_IGN, which programs that we start would have too
    raise KeyboardInterrupt


INTERRUPTED = 130
"""Exit code after Ctrl-C, TERM or HUP."""
ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that are to clean up as Ctrl-C does."""


def main() -> None:
    """Entry point: errors become sentences and exit codes (2 usage, 3 submission, 4 infrastructure, 5 data, 70 a bug)."""
    for sent in ENDING:
        if signal.getsignal(sent) is not signal.SIG_IGN:  # as `nohup` leaves it
            signal.signal(sent, _ended)
    try:
        app()
    except RadbenchError as error:
        _fail(error)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:  # typer turns Ctrl-C into that code
            raise
        with console.unheard():  # perhaps it was the terminal that went away
            console.err.print("Interrupted. Run the command again; it goes on where it stopped.")
        console.drop_unheard()
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(InfrastructureError("no_space", f"the disk is full ({error.filename or 'while writing'})"))
        _bug(error)
    except Exception as error:
        _bug(error)


def _fail(error: RadbenchError) -> NoReturn:
    console.err.print(f"{error.group} error [{error.code}]: {error.sentence}", markup=False)
    sys.exit(error.exit_code)


def _bug(error: BaseException) -> NoReturn:
    console.print_bug(error)
    sys.exit(70)
