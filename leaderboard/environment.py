"""The templates and what they may call. Everything that is not markup of our own is cleaned and escaped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from leaderboard import cells, costs, exports, fairnesspages, marks, numbers, pictures
from leaderboard.views import about

HERE = Path(__file__).parent

STRIP_CELLS = 6
"""So many submissions are shown beside each other in a strip; each has its pictures on its own page too."""


def render(template: str, path: str, **values: Any) -> str:
    """The page at `path` in the snapshot, with marks."""
    return _ENVIRONMENT.get_template(template).render(root="../" * path.count("/"), path=path, **values)


def _finalize(value: Any) -> Any:
    """Every text that is not markup of our own loses its control characters before it is escaped."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else exports.clean(value)


def coded(text: str) -> Markup:
    """Text in which `names between backticks` are set as code; all of it cleaned and escaped."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(exports.clean(text)))))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals |= {
        "ASSETS": Markup(marks.ASSETS),
        "FEED": Markup(marks.FEED),
        "BANNER": Markup(marks.BANNER),
        "EDITION": Markup(marks.EDITION),
        "NOT_MEASURED": costs.NOT_MEASURED,
        "STRIP_CELLS": STRIP_CELLS,
        "STOPS": pictures.stops(),
        "about": about,
        "metric_cell": cells.metric_cell,
        "result_row": cells.result_row,
        "case_head": cells.case_head,
    }
    environment.filters |= {
        "plain": numbers.plain,
        "seconds": numbers.seconds,
        "percent": numbers.percent,
        "rank": numbers.rank,
        "p_value": fairnesspages.p_text,
        "coded": coded,
        "repr": repr,
    }
    return environment


_ENVIRONMENT = _environment()
