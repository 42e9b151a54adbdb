"""A DICOM tree as a plan for an edition: series to sockets, identity refused or removed, cases under pseudonyms."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from benchmark import image
from benchmark.contract import Case, DatasetInfo, Source, Task
from benchmark.dataset import CaseFiles, Content, Edition, Plan, PlannedCase
from benchmark.dicom import burned_in, deidentify, mapping, people, profile, report, tree
from benchmark.dicom.mapping import Rule
from benchmark.dicom.pseudonyms import Pseudonyms
from benchmark.dicom.report import Report
from benchmark.dicom.tree import Series
from benchmark.errors import DataError
from benchmark.image import Volume

Progress = Callable[[str, int, int], None]
"""Called with what is being done, files done, files in all."""

MOST_NAMED = 8
"""So many attributes are named in a refusal."""


@dataclass(frozen=True)
class Import:
    """A plan, and what was found and removed on the way to it."""

    plan: Plan
    report: Report
    notes: tuple[str, ...]
    """Sentences for who imports, such as which cases were left out."""


@pydicom.config.disable_value_validation()  # broken values are dealt with here; pydicom's warnings would quote them
def plan(
    root: Path,
    task: Task,
    wanted: mapping.Mapping,
    pseudonyms: Pseudonyms,
    *,
    deidentified: bool,
    progress: Progress | None = None,
) -> Import:
    """Plan an edition from the tree below `root`; every file that goes into it is read whole and checked.

    A study (or patient) that lacks a series is left out with a note. Raises `DataError`: `identity` where files carry any and
    `deidentified` is false, `import_layout` where no case is complete or a choice is ambiguous, `unreadable_volume`; `UsageError` for
    sockets that the task does not have.
    """
    found = tree.scan(root, (lambda done, total: progress("headers", done, total)) if progress else None)
    wanted = mapping.complete(wanted, task, found.series)
    groups: dict[str, list[Series]] = {}
    for series in found.series:
        groups.setdefault(series.study if wanted.by == "study" else series.patient, []).append(series)
    cases: list[tuple[str, dict[str, Series]]] = []
    lacks: list[str] = []
    optional = {socket.slug for socket in task.inputs if socket.optional}
    for group in groups.values():
        chosen, lacking = mapping.chosen(wanted, group)
        if missing := [slug for slug in lacking if slug not in optional]:
            lacks.append(f"a {wanted.by} has no series for {' and '.join(missing)}: it has {mapping.listed(group)}")
        else:
            cases.append((pseudonyms.case(*sorted(series.uid for series in chosen.values())), chosen))
    if not cases:
        raise DataError(
            "import_layout",
            f"no {wanted.by} has all that task {task.name!r} needs; {lacks[0]}",
            expected=", ".join(
                f"{slug} ({_rule_words(rule)})" for slug, rule in wanted.series.items() if not rule.outline
            ),
            action="Say which series is meant with `--series SOCKET=MODALITY:PATTERN`.",
        )
    cases.sort(key=lambda item: item[0])  # by pseudonym: the order says nothing
    used = [series for _, chosen in cases for series in chosen.values()]
    counts, hashes = _check(used, pseudonyms, deidentified, progress)
    info = DatasetInfo(
        task=task.name,
        task_version=task.version,
        edition=wanted.edition,
        kind="real",
        title=wanted.title,
        description=(
            "Imported from DICOM series under pseudonyms. "
            + (
                f"De-identified by {deidentify.METHOD}. "
                if deidentified
                else f"The files carried nothing that {deidentify.METHOD} names. "
            )
            + "Text in pixels and faces were not removed."
        ),
        licence=wanted.licence,
        citation=wanted.citation,
        sources=(Source(title=wanted.title, licence=wanted.licence, citation=wanted.citation),),
        parameters={
            "series": {slug: rule.model_dump() for slug, rule in wanted.series.items()},
            "values": dict(wanted.values),
            "by": wanted.by,
            "content": pseudonyms.content(*hashes),
        },
    )
    planned = [_planned(id, chosen, task, wanted, pseudonyms, deidentified) for id, chosen in cases]
    made = Report(
        task=task.name,
        edition=wanted.edition,
        profile=deidentify.METHOD,
        library=deidentify.library(),
        deidentified=deidentified,
        files=sum(len(series.files) for series in used),
        series=len(used),
        cases=len(cases),
        left_out={
            "series that no socket asks for": len(found.series) - len({s.uid for s in used}),
            f"{wanted.by} groups that lack a series": len(lacks),
            "DICOM objects without pixels": found.without_pixels,
            "files that are not DICOM": found.not_dicom,
        },
        changes=report.table(counts),
        warnings=_warnings(cases, wanted, task),
    )
    notes = tuple(f"left out: {text}" for text in lacks)
    if not any(socket.slug in wanted.series for socket in task.references):
        notes = (*notes, "no series becomes a reference: these cases can be predicted, and not scored")
    return Import(Plan(info, planned, compress=True), made, notes)


def _rule_words(rule: Rule) -> str:
    return f"{rule.modality or 'any modality'}, {rule.description!r}"


def _check(
    used: Sequence[Series], pseudonyms: Pseudonyms, deidentified: bool, progress: Progress | None
) -> tuple[Counter[tuple[str, report.Kind]], list[str]]:
    """Read each file whole: what would be changed, or (without de-identification) that nothing is carried; and its hash."""
    counts: Counter[tuple[str, report.Kind]] = Counter()
    carrying: Counter[str] = Counter()
    hashes = []
    paths = [path for series in used for path in series.files]
    for done, path in enumerate(paths, 1):
        dataset, digest = _read(path)
        hashes.append(digest)
        if deidentified:
            before = report.values(dataset)
            deidentify.apply(dataset, pseudonyms)
            counts.update(report.changes(before, report.values(dataset)).items())
        else:
            carrying.update(profile.carried(dataset))
        if progress:
            progress("identity", done, len(paths))
    if carrying:
        shown = ", ".join(f"{name} ({n})" for name, n in carrying.most_common(MOST_NAMED))
        more = f" and {len(carrying) - MOST_NAMED} more attributes" if len(carrying) > MOST_NAMED else ""
        raise DataError("identity", f"of {len(paths)} files, so many have a value for {shown}{more}", expected="none")
    return counts, hashes


def _read(path: Path) -> tuple[pydicom.Dataset, str]:
    """A whole dataset with every element decoded as far as it can be, and the file's hash."""
    try:
        dataset = pydicom.dcmread(path)
        for _ in profile.elements(dataset):
            pass
        return dataset, hashlib.sha256(path.read_bytes()).hexdigest()
    except Exception as error:  # pydicom has no common base for what broken elements raise
        raise DataError("unreadable_volume", f"{path} cannot be read ({type(error).__name__}: {error})") from error


def _planned(
    id: str,
    chosen: Mapping[str, Series],
    task: Task,
    wanted: mapping.Mapping,
    pseudonyms: Pseudonyms,
    deidentified: bool,
) -> PlannedCase:
    first = next(chosen[s.slug] for s in task.inputs if s.slug in chosen)
    patient = pseudonyms.patient(first.patient)
    own = people.attributes(first.header, task) | {"patient": patient}
    if task.cluster:
        own[task.cluster] = patient
    case = Case(id=id, split=wanted.split, attributes=own | wanted.attributes)
    files = {slug: series.files for slug, series in chosen.items()}
    return PlannedCase(case, partial(make, task, wanted, files, pseudonyms, deidentified))


@pydicom.config.disable_value_validation()
def make(
    task: Task, wanted: mapping.Mapping, files: Mapping[str, Sequence[Path]], pseudonyms: Pseudonyms, deidentified: bool
) -> CaseFiles:
    """The content of one case. Raises `DataError('unreadable_volume')` with the socket and the reason."""
    volumes: dict[str, Volume] = {}
    for slug, paths in files.items():
        try:
            volumes[slug] = _volume(paths, pseudonyms, deidentified)
        except (ValueError, FileNotFoundError) as error:
            raise DataError(
                "unreadable_volume", f"a series of {len(paths)} files for {slug!r} beside {paths[0]}: {error}"
            ) from error
    content: dict[str, Content] = dict(volumes)
    for slug, rule in wanted.series.items():
        if rule.like and slug in volumes and rule.like in volumes:
            content[slug] = resampled(volumes[slug], volumes[rule.like], labels=_is_segmentation(task, slug))
    for slug, rule in wanted.series.items():
        base = content.get(rule.outline)
        if rule.outline and isinstance(base, Volume):
            content[slug] = base.like(outline(base.array))
    content |= wanted.values
    return CaseFiles(
        inputs={s.slug: content[s.slug] for s in task.inputs if s.slug in content},
        references={s.slug: content[s.slug] for s in task.references if s.slug in content},
    )


def _is_segmentation(task: Task, slug: str) -> bool:
    return any(socket.slug == slug and socket.kind == "segmentation" for socket in (*task.inputs, *task.references))


def _volume(paths: Sequence[Path], pseudonyms: Pseudonyms, deidentified: bool) -> Volume:
    """One series by way of a folder that holds nothing else; only de-identified files are ever written."""
    with tempfile.TemporaryDirectory(prefix="radbench-dicom-") as name:
        staged = Path(name)
        for index, path in enumerate(paths):
            place = staged / f"{index:05d}.dcm"
            if deidentified:
                dataset, _ = _read(path)
                deidentify.apply(dataset, pseudonyms)
                try:
                    dataset.save_as(place)
                except Exception as error:
                    raise ValueError(f"{path.name} cannot be written again ({error})") from error
            else:
                place.symlink_to(path.resolve())
        return image.read(staged)


def resampled(volume: Volume, grid: Volume, *, labels: bool = False) -> Volume:
    """`volume` on the grid of another: linear (labels: nearest), its smallest value (labels: 0) where it does not reach."""
    moving = _to_itk(volume)
    outside = 0.0 if labels else float(volume.array.min())
    how = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    out = sitk.Resample(moving, _to_itk(grid), sitk.Transform(), how, outside, moving.GetPixelID())
    return grid.like(sitk.GetArrayFromImage(out))


def _to_itk(volume: Volume) -> sitk.Image:
    out = sitk.GetImageFromArray(volume.array)
    out.SetSpacing([float(step) for step in volume.spacing[::-1]])
    out.SetOrigin([float(x) for x in volume.origin])
    out.SetDirection(np.asarray(volume.direction, float)[:, ::-1].ravel().tolist())
    return out


def outline(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Where the body is, 1 inside: above Otsu's threshold, the largest connected part, holes filled in every axial slice."""
    values = ndimage.gaussian_filter(np.asarray(array, np.float32), 1.0)
    if values.max() == values.min():
        return np.ones(array.shape, np.uint8)
    above = values > threshold_otsu(values)
    parts, count = ndimage.label(above)
    largest = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax()) if count else above
    return np.stack([ndimage.binary_fill_holes(plane) for plane in largest]).astype(np.uint8)


def _warnings(
    cases: Sequence[tuple[str, Mapping[str, Series]]], wanted: mapping.Mapping, task: Task
) -> tuple[str, ...]:
    found: Counter[str] = Counter()
    for _, chosen in cases:
        for series in chosen.values():
            found.update(burned_in.said(series.header, task.anatomy))
        for slug, rule in wanted.series.items():
            if rule.like and slug in chosen and rule.like in chosen and chosen[slug].frame != chosen[rule.like].frame:
                text = f"{slug} and {rule.like} do not share a frame of reference"
                found[f"{text}: they are taken as registered, which nothing here checks"] += 1
    return tuple(f"{n} series: {text}" for text, n in sorted(found.items()))


def written(edition: Edition, task: Task) -> list[str]:
    """Warnings from the pixels of a prepared edition: which cases have slices that look as if text were burned in."""
    found = []
    for case in edition.cases:
        for socket in (*task.inputs, *task.references):
            inside = edition.input_folder(case.id) if socket in task.inputs else edition.reference_folder(case.id)
            path = inside / socket.file(case.id)
            if socket.kind == "image" and path.exists() and (slices := burned_in.looks_written(image.read(path).array)):
                shown = ", ".join(str(k + 1) for k in slices[:4]) + (" …" if len(slices) > 4 else "")
                found.append(
                    f"{case.id}, {socket.slug}: slice {shown} looks as if text were burned in; look at it before you share it"
                )
    return found
