"""The Basic Application Level Confidentiality Profile (DICOM PS3.15 Annex E) applied to one dataset.

The library is `dicom-anonymizer` (Kitware, BSD-3-Clause): alone among those looked at it *is* the profile's table, kept up with the
standard (2026c), one action a tag, on pydicom, and small. `deid` applies recipes that the user writes and needs matplotlib; `dicognito`
makes test data that look real and is no implementation of the profile.

What is done around it, since a table of tags is not the whole of the profile:

- its actions look at one level, so they are applied to every item of every sequence that is kept;
- UIDs are replaced by keyed ones, wherever they stand, so that what belonged together still does;
- listed sequences are removed whole, where the library would fill their elements with dummies;
- an action that cannot deal with an element (an unusual VR, a broken value) removes it;
- names of persons in attributes that the table does not list are emptied, elements that the standard does not know are removed;
- the file's own header keeps what a file needs, the 128 bytes before it are blanked, and what was done is written into the dataset;
- at the end `profile.carried` must find nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import metadata
from typing import Any

from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

from benchmark.dicom import profile
from benchmark.dicom.pseudonyms import Pseudonyms
from benchmark.errors import DataError

Action = Callable[[Dataset, Any], None]

METHOD = f"PS3.15 {profile.EDITION} Annex E basic profile"


def library() -> str:
    """Name and version of the library, for the report."""
    return f"dicom-anonymizer {metadata.version('dicom_anonymizer')}"


def apply(dataset: Dataset, pseudonyms: Pseudonyms) -> None:
    """De-identify a dataset in place, its file meta information and preamble included.

    Raises `DataError('identity')` where anything that the profile names is left, which would be a fault of this module.
    """
    patient = str(dataset.get("PatientID", "") or dataset.get("PatientName", ""))
    _replace_uids(dataset, pseudonyms)
    for level in _levels(dataset):
        anonymize_dataset(level, base_rules_gen=_actions)
    for level in _levels(dataset):
        _what_no_table_lists(level)
    meta = getattr(dataset, "file_meta", None)
    for tag in [] if meta is None else [tag for tag in meta.keys() if tag not in profile.FILE_META]:  # noqa: SIM118
        del dataset.file_meta[tag]
    dataset.preamble = b"\0" * 128
    if "PatientID" in dataset or patient:
        dataset.PatientID = pseudonyms.patient(patient)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    dataset.DeidentificationMethodCodeSequence = DicomSequence([_code()])
    if left := profile.carried(dataset):
        raise DataError(
            "identity",
            f"after de-identification {', '.join(left[:5])} still has a value",
            action="Do not use these files, and report it.",
        )


@cache
def _actions() -> dict[Any, Action]:
    """The library's actions by tag, each so that what it cannot deal with is removed; UIDs have been replaced before."""
    actions: dict[Any, Action] = initialize_actions(f"dicomfields_{profile.EDITION}")
    kept = set(profile.table.U_TAGS)
    return {tag: _thorough(action) for tag, action in actions.items() if tag not in kept}


def _thorough(action: Action) -> Action:
    def wrapped(dataset: Dataset, tag: Any) -> None:
        try:
            element = dataset.get(tag)
            if element is None:
                return
            if element.VR != "SQ":
                action(dataset, tag)
                return
        except Exception:  # a broken value raises whatever pydicom or the library meet in it
            pass
        if tag in dataset:
            del dataset[tag]

    return wrapped


def _levels(dataset: Dataset) -> Iterator[Dataset]:
    """The dataset and every item of its sequences, outer ones first; what is removed meanwhile is not entered."""
    yield dataset
    for tag in sorted(dataset.keys()):
        if not tag.is_private and tag in dataset and dataset[tag].VR == "SQ":
            for item in dataset[tag].value or ():
                yield from _levels(item)


def _replace_uids(dataset: Dataset, pseudonyms: Pseudonyms) -> None:
    def replaced(value: str) -> str:
        # Those of the standard say what kind of thing it is; all others were given to one thing.
        return pseudonyms.uid(value) if value and UID(value).is_private else value

    meta = getattr(dataset, "file_meta", None)
    for level in (*([meta] if meta is not None else []), *_levels(dataset)):
        for tag in sorted(level.keys()):
            if tag.element == 0 or tag.is_private or level[tag].VR != "UI" or not level[tag].value:
                continue
            value = level[tag].value
            level[tag].value = (
                [replaced(str(part)) for part in value]
                if isinstance(value, MultiValue | list)
                else replaced(str(value))
            )
    if meta is not None:
        meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
        meta.ImplementationVersionName = "RADBENCH"


def _what_no_table_lists(dataset: Dataset) -> None:
    for tag in sorted(dataset.keys()):
        # Groups 0 and 2 belong to messages and to the file's own header; some writers leave them among the rest.
        if tag.is_private or tag.group <= 2 or tag.element == 0 or not dictionary_has_tag(tag):
            del dataset[tag]
        elif dataset[tag].VR == "PN":
            dataset[tag].value = ""


def _code() -> Dataset:
    """PS3.16 CID 7050."""
    code = Dataset()
    code.CodeValue = "113100"
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    return code
