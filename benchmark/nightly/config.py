"""`radbench.toml`: what the organiser settles once. Every key has a default, so the file may be absent."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from benchmark.contract import Name
from benchmark.errors import UsageError
from benchmark.nightly.turns import Often
from benchmark.record import Record
from benchmark.repeatability import TOLERANCE
from benchmark.store.retention import Retention

FILE = "radbench.toml"
"""Its name in the work folder."""


class Retries(Record):
    """`[nightly.retries]`: what happens after a failure of ours, such as an engine that did not answer."""

    times: int = Field(default=2, ge=0, le=20)
    """How often a piece of work is tried again in one night."""
    first_seconds: float = Field(default=30, ge=0)
    """Pause before the first retry; each further one is twice as long."""
    most_seconds: float = Field(default=900, ge=0)
    """Longest pause."""
    jitter: float = Field(default=0.2, ge=0, le=1)
    """Share of the pause that is drawn at random (with a fixed seed), so that many failures do not come back at once."""


class Nightly(Record):
    """`[nightly]`: what takes part and what runs it."""

    tasks: tuple[Name, ...] | None = None
    """Tasks that take part; absent: every task with a prepared data edition."""
    editions: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    """By task, the data editions that submissions run on; absent: every prepared edition but those that a phase of the task names."""
    baselines: dict[Name, tuple[Name, ...]] | Literal["all", "none"] = "all"
    """Reference models that take part: `all`, `none`, or by task their names (a task that is not listed has none)."""
    engine: Literal["", "podman", "docker", "apptainer"] = ""
    """Container engine; empty: the first that works. Changing it runs every submission again."""
    gpu: str = Field(default="", pattern=r"^(|all|[0-9]+|GPU-[0-9a-fA-F-]+)$")
    """`all`, an index or a UUID for submissions that ask for a GPU; empty: there is none, and they wait."""
    disk_low_gb: float = Field(default=10, ge=0)
    """With less free space (GB, in the work folder) no new run is started."""
    reproduce: Often = "each night"
    """How often one archived submission, in turn, is run again and compared, after all other work; `off`: never."""
    reproduce_tolerance: float = Field(default=TOLERANCE, ge=0, lt=1)
    """Largest difference that is taken for the same, as a share of an output's range (of labels, of the voxels); 0: byte for byte."""
    retries: Retries = Retries()
    """What happens after a failure of ours."""


class Site(Record):
    """`[site]`: where the leaderboard is seen."""

    base_url: str | None = None
    """Address of the site, for citations and the feed; absent: as last given."""


class Config(Record):
    """The whole of `radbench.toml`."""

    nightly: Nightly = Nightly()
    """What takes part and what runs it."""
    retention: Retention = Retention()
    """`[retention]`: which predictions `radbench store gc` keeps."""
    executor: dict[str, Any] = Field(default_factory=dict)
    """Where work is done, see `benchmark.executor`; empty: in processes on this machine."""
    site: Site = Site()
    """Where the leaderboard is seen."""


def load(path: Path, *, required: bool = False) -> Config:
    """Read a configuration; the defaults where there is no such file and it is not `required`.

    Raises `UsageError('config')`, which names file and key, for what is not known or not possible.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if required:
            raise UsageError("path", f"there is no {path}", expected=f"a {FILE}") from None
        return Config()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError("config", f"{path} cannot be read ({error})", expected="TOML in UTF-8") from None
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_explained(item, data) for item in error.errors()[:5])
        raise UsageError("config", f"{path}: {problems}") from None


def _explained(item: Mapping[str, Any], data: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _known(item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else f", expected one of {', '.join(known)}" if known else ""
        return f"key {key} is not known{hint}"
    found = item["input"]
    shown = "" if isinstance(found, dict | list) else f"found {found!r}; "
    message = item["msg"].removeprefix("Value error, ")
    return f"key {key}: {shown}{message[0].lower()}{message[1:]}"


def _known(where: tuple[Any, ...]) -> list[str]:
    """Keys of the record at that place."""
    record: Any = Config
    for part in where:
        field = record.model_fields.get(part)
        record = None if field is None else field.annotation
        if not (isinstance(record, type) and issubclass(record, Record)):
            return []
    return sorted(record.model_fields)
