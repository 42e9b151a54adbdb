"""`submissions/README.md`, made from the records' own docstrings: `python -m benchmark.submission_document` writes it."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from benchmark.contract import Method
from benchmark.inbox import REQUIRED_TEXTS, Entry
from benchmark.submission import Requests, Submission
from benchmark.verdict import CaseVerdict, Compared, Verdict

TARGET = Path(__file__).parents[1] / "submissions" / "README.md"

NOT_IN_MANIFESTS = {"baseline", "anonymous", "submitted_as", "training"}
"""Keys of a method that the harness sets, and that a manifest with them is refused for."""

INTRODUCTION = """\
# Submissions

This page is generated from the records in `benchmark/`; `python -m benchmark.submission_document` writes it.

A submission is a container image and a manifest. Start from [template/](template/README.md): five commands lead from nothing to
a verdict. What goes in and what must come out is the task's to say (`radbench tasks`, and the README in its folder).

    radbench try FOLDER|IMAGE|ARCHIVE --task TASK   # build, run on the public canary cases, validate, score: the organiser's code
    radbench submit submission.toml                 # check the manifest and the image, place both in the inbox

## The image

- linux/amd64, with an ordinary user (`USER`), without `LD_PRELOAD` or `LD_AUDIT` in its environment, and without annotations but
  `org.opencontainers.image.…` (labels are free). An archive holds one image:
  `podman save IMAGE | gzip -c > name.tar.gz` (or `docker save`); OCI archives are read as well, and SIF files of Apptainer
  (`apptainer build model.sif docker-archive:model.tar`), which only an organiser with Apptainer can run.
- **exec mode** (no label): the entry point runs once a case and ends with exit code 0. **invoke mode** (label
  `org.grand-challenge.api-method="invoke"`): a server on port 4743 answers `GET /health` with 200 once the model is loaded, and
  `POST /invoke` with 201 when the case that lies in `/input` is done. Images made for Grand Challenge run unchanged.
- `/input` is read-only and holds one case: images as `images/<slug>/<case>.mha` (or `.nii.gz`, see `inputs` below), values
  as `<slug>.json`, and `inputs.json`, which lists the sockets. `/output` is empty and writable. `/opt/ml/model` holds the folder
  that the manifest names as `model`. The root file system is read-only; `/tmp` is writable, in memory, and counts as memory. There
  is no network. Few system calls are allowed: what PyTorch, NumPy and a server need, no namespaces, mounts, key rings, tracing or
  io_uring.
- A server that answers a case differently after it has seen others is started afresh for each case, and its row says so.

## The manifest

`submission.toml`. Keys that are not listed here are refused.
"""

AFTER_MANIFEST = """\
`radbench submit` refuses a manifest whose `task_version` is not the task's, whose image lies outside of the manifest's folder or
is refused at the door, whose image is a name without a `digest`, or that asks for more than the task allows.
[docs/errors.md](../docs/errors.md) lists every code. The same submission handed in twice is one entry of the inbox.
"""

VERDICT = """\
## The verdict file

`radbench try` writes `verdict.json` to `<work>/trials/<task>/<name>/`, beside `cases.csv` (the per-case table), `logs/` and
`predictions/`. Its exit status is 0 when the submission passed and 3 when it did not; 4 is a failure of the machine
(`radbench doctor`), which says nothing of the submission. Records that are only named here (Limits, Aggregate, Score, CaseCost)
are those of `benchmark/contract/`.
"""

INBOX = """\
## The inbox

For organisers: an entry lies in `<work>/inbox/<id>/` and holds `entry.json`, `submission.toml` as it was written, the archive as
`image` and weights as `model/`. It is whole or absent.
"""


def render() -> str:
    """The page as Markdown."""
    texts = {f"method.{name}" for name in REQUIRED_TEXTS}
    return "\n".join(
        [
            INTRODUCTION,
            table(Submission, skip={"method", "requests"}),
            "### `[method]`: what is shown on the board\n",
            table(Method, skip=NOT_IN_MANIFESTS, required={name.removeprefix("method.") for name in texts}),
            "### `[requests]`: all that may be asked for\n",
            table(Requests),
            AFTER_MANIFEST,
            VERDICT,
            table(Verdict),
            "### Each of `cases`\n",
            table(CaseVerdict),
            "### Each of `baselines`\n",
            table(Compared),
            INBOX,
            table(Entry),
        ]
    )


def table(
    record: type[BaseModel], skip: set[str] | frozenset[str] = frozenset(), required: set[str] | None = None
) -> str:
    """The fields of a record: key, kind of value, default, meaning."""
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, info in record.model_fields.items():
        if name in skip:
            continue
        missing = info.is_required() or name in (required or ())
        meaning = " ".join((info.description or "").split())
        cells = (f"`{name}`", kind(info.annotation), "**required**" if missing else _default(info), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def kind(annotation: Any) -> str:
    """A type in words."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kind(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return " or ".join(kind(part) for part in get_args(annotation) if part is not type(None))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if origin is tuple:
        return f"list of {kind(get_args(annotation)[0])}"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if annotation in words:
        return words[annotation]
    name = getattr(annotation, "__name__", str(annotation))
    return {"date": "date, YYYY-MM-DD"}.get(name, name)


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is None or value == "" or value == () or isinstance(value, BaseModel):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(TARGET)
