"""Which series of a patient becomes which socket of the task: said by options or a TOML file, guessed where it is plain.

```toml
edition = "ward-3"
by = "study"                       # or "patient", where a case's series lie in several studies

[series.mri]                       # a socket of the task
modality = "MR"
description = "*t1*"               # as a shell pattern, letter case aside

[series.ct]
modality = "CT"
like = "mri"                       # resampled onto the grid of that socket

[series.body]
outline = "mri"                    # the body's outline in that socket

[values]                           # sockets that are JSON values
region = "brain"

[attributes]                       # the same for all cases
site = "A"
```
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Dictionary
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from benchmark.contract import Name, Socket, Split, Task
from benchmark.dicom.tree import Series
from benchmark.errors import DataError, UsageError
from benchmark.record import Record

MOST_LISTED = 12
"""So many series are named in a message."""


class Rule(Record):
    """Where a socket's content comes from."""

    modality: str = ""
    """DICOM modality, such as MR, CT, PT; empty: any."""
    description: str = "*"
    """Shell pattern of the series description."""
    like: str = ""
    """Socket onto whose grid the series is resampled (linear); empty: it keeps its own."""
    outline: str = ""
    """Socket whose body outline this is, instead of a series: above Otsu's threshold, the largest part, holes filled slice by slice."""

    @model_validator(mode="after")
    def _one_source(self) -> Rule:
        if self.outline and (self.modality or self.description != "*" or self.like):
            raise ValueError("an outline is made of another socket and has no modality, description or like")
        return self

    def fits(self, series: Series) -> bool:
        """Whether a series is meant."""
        return (not self.modality or series.modality.upper() == self.modality.upper()) and fnmatchcase(
            series.description.casefold(), self.description.casefold()
        )


class Mapping(Record):
    """What becomes of a tree."""

    edition: Name = "dicom"
    """Name of the edition."""
    title: str = "DICOM import"
    """Heading."""
    licence: str = "not stated"
    """Licence of the images."""
    citation: str = ""
    """How to cite them."""
    split: Split = "test"
    """Split of all cases."""
    by: Literal["study", "patient"] = "study"
    """What makes a case."""
    series: dict[str, Rule] = Field(default_factory=dict)
    """By socket of the task."""
    values: dict[str, Any] = Field(default_factory=dict)
    """By socket: JSON content, the same for all cases."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Attributes that all cases have."""


def read(path: Path) -> Mapping:
    """Read a mapping. Raises `UsageError` that names the key."""
    try:
        return Mapping.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise UsageError("path", f"{path} cannot be read ({error.strerror})", expected="a mapping in TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError("bad_value", f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        raise UsageError(
            "bad_value", f"{path}: {_first(error)}", expected="the keys of benchmark/dicom/mapping.py"
        ) from None


def with_options(
    mapping: Mapping, series: Sequence[str], values: Sequence[str], attributes: Sequence[str], **fields: Any
) -> Mapping:
    """The mapping with what the command line says on top: `SOCKET=MODALITY`, `SOCKET=MODALITY:PATTERN`, `SOCKET=outline:SOCKET`,
    `NAME=VALUE`. Raises `UsageError`."""
    rules = {}
    for text in series:
        slug, source = _pair("--series", text)
        kind, _, rest = source.partition(":")
        rules[slug] = (
            {"outline": rest}
            if kind == "outline"
            else {"modality": "" if kind == "*" else kind, "description": rest or "*"}
        )
    try:
        return Mapping.model_validate(
            mapping.model_dump()
            | {key: value for key, value in fields.items() if value}
            | {
                "series": mapping.series | rules,
                "values": mapping.values | dict(_pair("--value", text) for text in values),
                "attributes": mapping.attributes | dict(_pair("--attribute", text) for text in attributes),
            }
        )
    except ValidationError as error:
        raise UsageError("bad_value", _first(error)) from None


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UsageError("bad_value", f"{option} {text}", expected="NAME=VALUE")
    return name, value


def _first(error: ValidationError) -> str:
    item = error.errors()[0]
    return f"{'.'.join(str(part) for part in item['loc']) or 'mapping'}: found {item['input']!r}; {item['msg']}"


def complete(mapping: Mapping, task: Task, series: Sequence[Series]) -> Mapping:
    """The mapping with a rule for each socket that needs one; a rule is guessed from the socket's words where none is given.

    References are needed together or not at all: without any, the cases can be predicted but not scored. Raises `UsageError` for
    sockets that the task does not have and for those that nothing can be guessed for; it lists the `series` that there are.
    """
    sockets = {socket.slug: socket for socket in (*task.inputs, *task.references)}
    for slug in (*mapping.series, *mapping.values):
        if slug not in sockets:
            raise UsageError(
                "unknown_name", f"task {task.name!r} has no socket {slug!r}", expected=f"one of {', '.join(sockets)}"
            )
    for slug, rule in mapping.series.items():
        for other in (rule.like, rule.outline):
            if other and (other not in mapping.series or mapping.series[other].outline or other == slug):
                raise UsageError(
                    "unknown_name", f"{slug}: no series becomes {other!r}", expected="a socket that has a series"
                )
    given = {*mapping.series, *mapping.values}
    scored = any(socket.slug in given for socket in task.references)
    needed = [s for s in task.inputs if not s.optional] + (list(task.references) if scored else [])
    guessed = {}
    for socket in needed:
        if socket.slug in given:
            continue
        modality = _guess(socket, task) if socket in task.inputs else ""
        if not modality:
            raise UsageError(
                "bad_value",
                f"nothing says what becomes of {socket.slug!r}",
                expected=_hint(socket),
                action=_there(series),
            )
        guessed[socket.slug] = Rule(modality=modality)
    if not any(s.slug in given or s.slug in guessed for s in task.inputs if s.is_volume):
        slugs = ", ".join(s.slug for s in task.inputs if s.is_volume)
        raise UsageError(
            "bad_value",
            f"no series is chosen as an input; {task.name} has {slugs}",
            expected="--series SOCKET=MODALITY:PATTERN",
            action=_there(series),
        )
    return mapping.model_copy(update={"series": mapping.series | guessed})


def _hint(socket: Socket) -> str:
    if socket.kind == "segmentation":
        return f"--series {socket.slug}=outline:SOCKET, or --series {socket.slug}=MODALITY:PATTERN"
    if socket.is_volume:
        return f"--series {socket.slug}=MODALITY:PATTERN"
    return f"--value {socket.slug}=VALUE"


_WORDS = {"MR": r"mri?|t1|t2|flair", "CT": r"ct", "PT": r"pet|pt", "US": r"us|ultrasound"}


def _guess(socket: Socket, task: Task) -> str:
    """The modality that a socket's slug and title speak of; the task's where that is one; empty where neither says."""
    if socket.kind != "image":
        return ""
    text = re.sub(r"[^a-z0-9]+", " ", f"{socket.slug} {socket.title}".casefold())
    found = [modality for modality, words in _WORDS.items() if re.search(rf"\b(?:{words})\b", text)]
    if len(found) == 1:
        return found[0]
    return task.modality if not found and task.modality in _WORDS else ""


def chosen(mapping: Mapping, group: Sequence[Series]) -> tuple[dict[str, Series], list[str]]:
    """By socket, the series of a case; and the sockets that none fits. Raises `DataError` where several fit one socket."""
    found: dict[str, Series] = {}
    lacking = []
    for slug, rule in mapping.series.items():
        if rule.outline:
            continue
        fitting = [series for series in group if rule.fits(series)]
        if len(fitting) > 1:
            raise DataError(
                "import_layout",
                f"{len(fitting)} series of one {mapping.by} fit {slug!r}: {listed(fitting)}",
                expected="one",
                action=f"Narrow it with `--series {slug}=MODALITY:PATTERN`.",
            )
        if fitting:
            found[slug] = fitting[0]
        else:
            lacking.append(slug)
    return found, lacking


def _there(series: Sequence[Series]) -> str:
    return f"The tree holds: {listed(series)}."


def listed(series: Sequence[Series]) -> str:
    """Series in words, for a message; alike ones once."""
    words: Dictionary[str, None] = dict.fromkeys(item.words for item in series)
    more = f"; … {len(words) - MOST_LISTED} more" if len(words) > MOST_LISTED else ""
    return "; ".join(list(words)[:MOST_LISTED]) + more
