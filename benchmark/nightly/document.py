"""The tables of `docs/organisers.md` that follow from records: `python -m benchmark.nightly.document` writes them.

Each stands between two lines of comment that name it; the text around them is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from benchmark.contract import Phase
from benchmark.executor import ExecutorConfig
from benchmark.nightly.config import Config, Nightly, Retries, Site
from benchmark.nightly.outcomes import Outcome
from benchmark.nightly.report import NightReport
from benchmark.store.retention import Retention
from benchmark.submission_document import table

TARGET = Path(__file__).parents[2] / "docs" / "organisers.md"

RECORDS: dict[str, type[BaseModel]] = {
    "nightly": Nightly,
    "retries": Retries,
    "executor": ExecutorConfig,
    "retention": Retention,
    "site": Site,
    "phases": Phase,
    "report": NightReport,
    "outcome": Outcome,
}
"""By the name in the page, the record whose fields the table lists."""

assert set(Config.model_fields) == {"nightly", "retention", "executor", "site"}


def render(text: str) -> str:
    """The page with its tables made anew. Raises `ValueError` when it lacks the place of one."""
    for name, record in RECORDS.items():
        place = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{TARGET} has no place for the table {name!r}")
        made = table(record, {"schema_version"})
        text = place.sub(lambda found, made=made: f"{found[1]}\n{made}\n{found[2]}", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    TARGET.write_text(render(TARGET.read_text("utf-8")), encoding="utf-8")
