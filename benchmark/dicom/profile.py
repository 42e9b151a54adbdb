"""What counts as identity in a DICOM dataset: the Basic Application Level Confidentiality Profile, PS3.15 Annex E, table E.1-1.

The table is that of `dicom-anonymizer`, edition 2026c of the standard; see `deidentify` for why that library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag

EDITION = "2026c"
"""Edition of the standard that the table is of."""

KEPT = frozenset({"PatientSex", "PatientAge"})
"""In the table, but no identity by themselves: they become groups of an edition (see `people`), and are removed with the rest."""

FILE_META = frozenset({0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})
"""What a file's own header needs; the rest of group 2 names stations and programs, and the profile has it written anew."""

DUMMIES = frozenset(
    {
        "",
        "ANONYMIZED",
        "http://anonymized.invalid",
        "000Y",
        "0",
        "0.0",
        "00010101",
        "000000.00",
        "00010101010101.000000+0000",
    }
)
"""Values that stand for nothing: what the profile's actions Z and D leave."""

_PSEUDONYM = re.compile(r"^(?:[0-9a-f]{12,64}|patient-[0-9a-f]{12,64})$", re.IGNORECASE)
_SINGLE = frozenset((tag[0] << 16) | tag[1] for tag in table.ALL_TAGS if len(tag) == 2)
_GROUPS = tuple(tag for tag in table.ALL_TAGS if len(tag) == 4)


@cache
def listed(tag: BaseTag) -> bool:
    """Whether the profile names this attribute, singly or as one of a repeating group (curves, overlays)."""
    return int(tag) in _SINGLE or any(
        tag.group & g_mask == group & g_mask and tag.element & e_mask == element & e_mask
        for group, element, g_mask, e_mask in _GROUPS
    )


def name_of(tag: BaseTag) -> str:
    """What a report calls an attribute: its keyword; of a private or unknown one its tag, which is no value."""
    if tag.is_private:
        return "private"
    return keyword_for_tag(tag) or f"({tag.group:04X},{tag.element:04X})"


def elements(dataset: Dataset) -> Iterator[tuple[str, DataElement, bool]]:
    """Every element, also of the file meta information and inside sequences: (path of names, element, inside a listed sequence).

    Pixels and sequences themselves are left out, but for empty sequences, which say nothing; so are group lengths.
    """
    meta = getattr(dataset, "file_meta", None)
    if meta is not None:
        yield from _within(meta, "", False)
    yield from _within(dataset, "", False)


def _within(dataset: Dataset, path: str, inside: bool) -> Iterator[tuple[str, DataElement, bool]]:
    for tag in sorted(dataset.keys()):
        if tag.element == 0 or tag in (0x7FE00010, 0x7FE00008, 0x7FE00009):
            continue
        element = dataset[tag]
        own = path + name_of(element.tag)
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _within(item, f"{own}.", inside or listed(element.tag) or element.tag.is_private)
        else:
            yield own, element, inside


def says_something(element: DataElement) -> bool:
    """Whether it has a value that is no dummy."""
    value = element.value
    if value is None:
        return False
    if isinstance(value, bytes):
        return value.strip(b"\0 ") not in (b"", b"Anonymized")
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value).strip("\0 ") not in DUMMIES
    return any(str(part).strip("\0 ") not in DUMMIES for part in value)


def carried(dataset: Dataset) -> list[str]:
    """Names of the attributes by which a dataset still says who somebody is, in the order of tags, with repeats removed.

    These are: what the profile lists and is neither empty nor a dummy, all of it in sequences that it lists, every name of a person,
    private elements, and elements that the standard does not know. UIDs pass, since an original and a replaced one look alike; so
    does a patient's id that looks like a hash, or any where the file says that identity was removed and how.
    """
    removed = str(dataset.get("PatientIdentityRemoved", "")) == "YES" and bool(
        dataset.get("DeidentificationMethod") or dataset.get("DeidentificationMethodCodeSequence")
    )
    found: dict[str, None] = {}
    for path, element, inside in elements(dataset):
        if element.VR == "UI" or not says_something(element) or element.keyword in KEPT:
            continue
        if element.keyword == "PatientID" and (removed or _PSEUDONYM.match(str(element.value))):
            continue
        if element.tag.group == 2 and element.tag not in FILE_META:
            found[path] = None
        elif element.tag.group == 2:
            continue
        elif element.tag.is_private or inside or element.VR == "PN" or listed(element.tag) or not _known(element.tag):
            found[path] = None
    return list(found)


def _known(tag: BaseTag) -> bool:
    return bool(dictionary_has_tag(tag))
