"""Words that several records share: names, splits, kinds, states."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

Split = Literal["train", "val", "canary", "test"]
"""`train` and `val` are public with references; `canary` is public, small, with open logs; `test` is sealed."""

SPLITS: tuple[Split, ...] = ("train", "val", "canary", "test")

SocketKind = Literal["image", "segmentation", "points", "value"]
"""`image`: one volume; `segmentation`: one volume of labels; `points`: "Multiple points" JSON; `value`: any JSON value."""

Status = Literal["ok", "both_empty", "pred_empty", "ref_empty", "missing", "invalid", "excluded"]
"""How a value came about. `missing` and `invalid` carry the metric's worst value and a reason; none is ever dropped."""

NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,63}$")
"""Names that become folders and URLs: lower case, digits, `_`, `-`, `.`; at most 64 characters."""

Name = Annotated[str, Field(pattern=NAME.pattern)]
