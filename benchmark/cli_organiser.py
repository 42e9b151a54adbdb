"""The organiser's commands: the night, and the ledger of attempts. Thin, as `benchmark.cli` is."""

from __future__ import annotations

import difflib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmark import console
from benchmark.cli_options import AsJson, TaskDirs, Work, existing, print_json
from benchmark.errors import RadbenchError, UsageError

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The organiser's settings (default: radbench.toml in --work).")
]


def add(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command()(nightly)
    app.command()(attempts)


def nightly(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is due, and why; do nothing.")] = False,
    config: ConfigFile = None,
    task_dirs: TaskDirs = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Do all that is due: run, score and publish what is new. For cron; exit code 0 all is well, 1 needs a person, 2 broke."""
    from benchmark.nightly import config as settings
    from benchmark.nightly import gather, morning, plan

    place = existing(work)
    file = config or place.root / settings.FILE
    around = gather.surroundings(place, settings.load(file, required=config is not None), task_dirs or ())
    if dry_run:
        found = plan.plan(gather.gather(around, datetime.now(UTC)))
        if as_json:
            print_json(found.model_dump(mode="json"))
        else:
            for line in morning.plan_lines(found):
                console.out.print(line, markup=False)
        return
    from benchmark.nightly import session
    from benchmark.nightly.report import BROKE, text

    try:
        with console.Bars() as bars:
            report, error = session.hold(
                around, say=lambda line: console.err.print(f"  {line}", markup=False), bars=bars.update
            )
    except RadbenchError:
        raise
    except Exception as fault:  # outside of what a report could tell
        with console.unheard():
            console.print_bug(fault)
        console.drop_unheard()
        sys.exit(BROKE)
    if report is None:
        assert error is not None
        console.err.print(f"{error.group} error [{error.code}]: {error.sentence}", markup=False)
        sys.exit(1)
    # The report is in its folder; that nobody can be told of it changes no exit code.
    with console.unheard():
        if as_json:
            print_json(report.model_dump(mode="json"))
        else:
            console.out.print(text(report), markup=False, end="")
            console.out.print(f"Report: {place.root / 'nights' / report.night}", markup=False)
    console.drop_unheard()
    if report.interrupted:
        raise KeyboardInterrupt
    sys.exit(report.exit_code)


def attempts(
    who: Annotated[str, typer.Argument(help="Name of a team, or of a submission (its name or the id of its entry).")],
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    work: Work = None,
    as_json: AsJson = False,
) -> None:
    """Show the attempts that the ledger counts of a team or a submission, and those that it does not."""
    from benchmark.nightly import attempts as ledger
    from benchmark.nightly import outcomes

    place = existing(work)
    known = ledger.read(place)
    found = [a for a in known if ledger.concerns(a, who) and (task is None or a.task == task)]
    if not found:
        names = sorted({name for a in known for name in (a.team, a.name) if name})
        near = difflib.get_close_matches(who, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UsageError(
            "unknown_name", f"the ledger has no attempt of {who!r}{hint}", expected="a team or submission that has run"
        )
    shown = outcomes.lines(found)
    if as_json:
        print_json([line.model_dump(mode="json") for line in shown])
        return
    for line in shown:
        where = "/".join(part for part in (line.task, line.phase or line.edition) if part)
        state = "counted" if line.counted else "not counted"
        code = f" [{line.code}]" if line.code else ""
        console.out.print(
            f"{line.at:%Y-%m-%d %H:%M}  {where}  {line.submission}  {state}{code}: {line.sentence}", markup=False
        )
    console.out.print(f"{sum(line.counted for line in shown)} counted of {len(shown)}", markup=False)
