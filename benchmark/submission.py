"""A submission's manifest: what a participant says of an image and asks for. A whitelist; anything else is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from benchmark.container.staging import InputFormat
from benchmark.contract import Limits, Method, Name, Task
from benchmark.errors import SubmissionError
from benchmark.record import Record

MANIFEST_BYTES = 64 * 1024
DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


class Requests(Record):
    """All that a submission may ask for; by default what the task allows."""

    memory_mb: int | None = Field(default=None, gt=0)
    """Memory in MiB, up to the task's limit."""
    shm_mb: int | None = Field(default=None, gt=0)
    """Shared memory in MiB, up to the memory."""
    gpu: bool = False
    """Whether it needs a GPU."""
    inputs: InputFormat = "mha"
    """File format of the volumes below `/input`: `mha`, or `nifti` for `<case>.nii.gz`, which images made for SynthRAD 2023 may expect."""


class Submission(Record):
    """`submission.toml`: one image for one task."""

    schema_version: int = 1
    """Version of this record."""
    method: Method
    """What is submitted: name, title, family, team, description, citation, licence."""
    task: Name
    """Task that it is for."""
    task_version: str
    """Version of the task that it was made for."""
    image: str = Field(min_length=1)
    """Archive or SIF file (path relative to the manifest), or name in a registry or the local store."""
    digest: str = ""
    """`sha256:…` of the image; filled in at intake when it is left out, and from then on held to."""
    model: str = ""
    """Folder of weights that came apart from the image, mounted read-only at /opt/ml/model; empty for none."""
    contact: str = Field(min_length=3)
    """Whom to write to."""
    requests: Requests = Requests()
    """What it asks for."""

    @field_validator("digest")
    @classmethod
    def _digest(cls, value: str) -> str:
        if value and not DIGEST.match(value):
            raise ValueError("expected sha256: and 64 hexadecimal digits")
        return value

    @field_validator("method")
    @classmethod
    def _stranger(cls, value: Method) -> Method:
        if value.baseline or value.anonymous or value.submitted_as or value.training:
            raise ValueError("baseline, anonymous, submitted_as and training are not for manifests")
        return value

    def limits(self, task: Task) -> Limits:
        """The task's limits with what was asked for in their place, where that is less.

        Raises `SubmissionError('not_allowed')` when more is asked for than the task allows.
        """
        asked = self.requests
        changed = {}
        for name, value, most in (
            ("memory_mb", asked.memory_mb, task.limits.memory_mb),
            ("shm_mb", asked.shm_mb, max(task.limits.shm_mb, asked.memory_mb or task.limits.memory_mb)),
        ):
            if value is not None:
                if value > most:
                    raise SubmissionError(
                        "not_allowed", f"requests.{name} is {value}", expected=f"at most {most}, the task's limit"
                    )
                changed[name] = value
        return task.limits.model_copy(update=changed)


def load(path: Path) -> Submission:
    """Read a manifest.

    Raises `SubmissionError('manifest')`, which names the keys that are missing, wrong or not known.
    """
    try:
        if path.stat().st_size > MANIFEST_BYTES:
            raise SubmissionError("manifest", f"{path.name} has more than {MANIFEST_BYTES // 1024} KiB")
        return Submission.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SubmissionError("manifest", f"{path.name} cannot be read ({error})", expected="TOML in UTF-8") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise SubmissionError("manifest", f"{path.name}: {problems}") from None
