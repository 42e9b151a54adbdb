"""A data edition: its cases, its sources, and what it says of itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from benchmark.contract.names import Name, Split
from benchmark.record import Record

FEDERATED = "federated"
"""Edition, and engine, of what was put together from sites' bundles, see `benchmark.federation`."""


class Case(Record):
    """One case of an edition: a row of its `cases.csv`."""

    id: Name
    """Identifier, unique in the edition."""
    split: Split
    """Which split it belongs to."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Values of the task's attributes and of any further columns; "unknown" where not known."""
    key: str = ""
    """Hash that only a holder of the references can make; empty for phantoms. See `drawing`."""

    @property
    def drawing(self) -> str:
        """What resampling orders cases by. Published tables list cases in this order, so that anyone can draw them again; it is
        that of the key, which says nothing of the id, as an order by id would."""
        return f"{self.key} {self.id}"


class Source(Record):
    """Where real data came from."""

    title: str
    """What it is."""
    licence: str
    """Licence of the data."""
    citation: str
    """How to cite it."""
    origin: str = ""
    """Package and file, or data set, it was taken from."""
    sha256: str = ""
    """Hash of the file as fetched."""


class DatasetInfo(Record):
    """`dataset.json`: what an edition is, how it was made, and the hash of every file in it."""

    schema_version: int = 1
    """Version of this record."""
    task: Name
    """Task that it is for."""
    task_version: str
    """Version of the task that it was made for."""
    edition: Name
    """Name of the edition."""
    kind: Literal["phantom", "real"]
    """Phantoms are made by formula; `real` holds images of patients."""
    title: str
    """Heading."""
    description: str
    """How it was made, in a few sentences."""
    licence: str
    """Licence of the edition as a whole."""
    citation: str = ""
    """How to cite it."""
    sources: tuple[Source, ...] = ()
    """Where real data came from."""
    sites: tuple[str, ...] = ()
    """Sites that computed its values on images of their own; empty where the images lie here."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Everything that determines the content: seed, size, dose …"""
    counts: dict[str, int] = Field(default_factory=dict)
    """Number of cases by split."""
    files: dict[str, str] = Field(default_factory=dict)
    """sha256 of every file by its path relative to the edition, `dataset.json` itself excepted."""
