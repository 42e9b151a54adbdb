"""The command `import`: a public data set in its own layout, or a tree of DICOM. Thin, as `benchmark.cli` is, which it is added to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark import console, dataset, secret, tasks
from benchmark.cli_options import TaskDirs, Work, say, workplace
from benchmark.errors import UsageError
from benchmark.tasks import TaskFolder
from benchmark.workplace import Workplace

DICOM = "dicom"


def import_data(
    format: Annotated[
        str, typer.Argument(help="Layout of the data set, such as synthrad2023; `dicom` for any tree of DICOM.")
    ],
    path: Annotated[Path, typer.Argument(help="Folder that holds it.")],
    workers: Annotated[int, typer.Option(help="Processes; 0 means one a core.")] = 0,
    task: Annotated[str, typer.Option(help="dicom: the task that the cases are for.")] = "",
    deidentify: Annotated[
        bool,
        typer.Option(
            "--deidentify", help="dicom: remove identity (PS3.15 basic profile); else such files are refused."
        ),
    ] = False,
    series: Annotated[
        list[str] | None,
        typer.Option(help="dicom: SOCKET=MODALITY:PATTERN or SOCKET=outline:SOCKET; may be given several times."),
    ] = None,
    value: Annotated[list[str] | None, typer.Option(help="dicom: SOCKET=VALUE for a socket that is no image.")] = None,
    attribute: Annotated[list[str] | None, typer.Option(help="dicom: NAME=VALUE, an attribute of all cases.")] = None,
    map_file: Annotated[Path | None, typer.Option("--map", help="dicom: the same in TOML, see docs/dicom.md.")] = None,
    edition: Annotated[str, typer.Option(help="dicom: name of the edition (default: dicom).")] = "",
    split: Annotated[str, typer.Option(help="dicom: split of all cases (default: test).")] = "",
    task_dirs: TaskDirs = None,
    work: Work = None,
) -> None:
    """Turn a public data set, in its own layout, or a tree of DICOM into an edition."""
    if not path.is_dir():
        raise UsageError("path", f"there is no folder {path}", expected=f"the root of a {format} tree")
    place = workplace(work)
    if format == DICOM:
        folder = _task(task, task_dirs or ())
        rules = {"series": series or (), "values": value or (), "attributes": attribute or ()}
        _import_dicom(folder, path, place, workers, deidentify, map_file, rules, edition=edition, split=split)
        return
    given = (task, deidentify, series, value, attribute, map_file, edition, split)
    if any(given):
        raise UsageError(
            "bad_value", f"an option of `import {DICOM}` with {format}", expected="--workers, --tasks and --work alone"
        )
    importers: dict[str, TaskFolder] = {}
    for found in tasks.load_all(task_dirs or ()):
        importers |= dict.fromkeys(getattr(found.data(), "IMPORTERS", {}), found)
    if format not in importers:
        names = ", ".join(sorted([*importers, DICOM]))
        raise UsageError("unknown_name", f"there is no importer {format!r}", expected=f"one of {names}")
    folder = importers[format]
    carry_out(folder, folder.data().IMPORTERS[format](path), place, workers)


def _task(name: str, extra: list[Path] | tuple[()]) -> TaskFolder:
    if not name:
        raise UsageError("bad_value", "no task was named", expected="--task and one of the names of `radbench tasks`")
    return tasks.find(name, extra)


def _import_dicom(
    folder: TaskFolder,
    path: Path,
    place: Workplace,
    workers: int,
    deidentify: bool,
    map_file: Path | None,
    rules: dict[str, list[str] | tuple[()]],
    **fields: str,
) -> None:
    from benchmark.dicom import importing, mapping, report
    from benchmark.dicom.pseudonyms import Pseudonyms

    wanted = mapping.read(map_file) if map_file else mapping.Mapping()
    wanted = mapping.with_options(wanted, rules["series"], rules["values"], rules["attributes"], **fields)
    pseudonyms = Pseudonyms(secret.load_key(place.pseudonym_key))
    with console.Bars() as bars:
        found = importing.plan(path, folder.task, wanted, pseudonyms, deidentified=deidentify, progress=bars.update)
    for note in found.notes:
        say(note)
    made = carry_out(folder, found.plan, place, workers)
    looked = tuple(importing.written(made, folder.task))
    whole = found.report.model_copy(update={"warnings": (*found.report.warnings, *looked)})
    _, text = report.write(whole, place.root / "deidentification" / folder.task.name / made.info.edition)
    for warning in whole.warnings:
        say(f"warning: {warning}")
    console.out.print(f"What was removed: {text}", markup=False)


def carry_out(folder: TaskFolder, plan: dataset.Plan, work: Workplace, workers: int) -> dataset.Edition:
    """Make the edition, with a bar, and print where it is and what its sources ask for."""
    label = f"{folder.task.name}/{plan.info.edition}"
    with console.Bars() as bars:
        edition = dataset.prepare(
            work.data, folder.task, plan, workers=workers, progress=lambda done, total: bars.update(label, done, total)
        )
    counts = ", ".join(f"{count} {split}" for split, count in edition.info.counts.items())
    console.out.print(f"{label}: {counts} cases in {edition.root}", markup=False)
    for source in edition.info.sources:
        console.out.print(f"  {source.title}. Licence: {source.licence}. Cite: {source.citation}", markup=False)
    return edition
