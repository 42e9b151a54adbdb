"""The file that leaves a site: values under keyed ids, or sums alone; hashes and versions; no image, name, date or free text.

Every field has a pattern or a fixed vocabulary, so that nothing else *can* be in it. `sha256` is over all the rest: it shows damage, and
is what both sides quote on the telephone. The detached HMAC shows that the file is as somebody with the shared key wrote it; since both
sides hold that key it proves nothing to a third one, and it never proves that the numbers are true.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from benchmark import atomic
from benchmark.contract import Name, Record, Status
from benchmark.errors import CATALOGUE, DataError, UsageError
from benchmark.fairness import Suppression
from benchmark.store import canonical

SITE = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")
Site = Annotated[str, Field(pattern=SITE.pattern)]
"""Name that a site gives itself; it becomes part of case ids."""
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
"""Keyed id of a case or a patient."""
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+:/-]{0,127}$")]
Number = Annotated[float, Field(allow_inf_nan=False)] | Literal["inf", "-inf"]
"""JSON has no infinity, and some metrics do."""
MOST_BYTES = 64 << 20
"""Largest bundle that is read."""
MOST_CASES = 100_000


class CaseLine(Record):
    """One case."""

    id: Id
    """HMAC-SHA256 of the case under the site's secret key, cut to 64 bits: the same case has the same id in each of its bundles."""
    patient: Id | None = None
    """The same of the patient, where one has several cases."""
    values: dict[Name, Number]
    """By metric that has a value by case."""
    status: dict[Name, Status] = Field(default_factory=dict)
    """By metric, how the value came about, where that is not `ok`."""
    code: str = ""
    """Code of the catalogue, where there was no valid output."""


class ScanPart(Record):
    """What one scan adds to FROC and its kin: probabilities to four digits, no places."""

    hits: tuple[float | None, ...]
    """Of each lesion the probability of its most probable mark; null where it was missed."""
    false_positives: tuple[float, ...]
    """Of each mark on no lesion."""
    highest: float | None
    """Of the most probable mark; null where there is none."""
    missing: bool = False
    """Whether there was no valid output."""


class Parts(Record):
    """What cases add to metrics of a set."""

    metrics: tuple[Name, ...]
    """Metrics that share these parts."""
    scans: dict[Id, ScanPart]
    """By case."""


class Sums(Record):
    """One metric over all cases of the site."""

    metric: Name
    """Metric id in the task."""
    n: int = Field(ge=2)
    """Cases that count."""
    mean: float = Field(allow_inf_nan=False)
    """Their mean."""
    variance: float = Field(ge=0, allow_inf_nan=False)
    """Variance of the sample (divisor n − 1)."""
    n_worst: int = Field(ge=0)
    """How many of them took the worst value."""


class GroupLine(Record):
    """One group of one attribute or crossing, by the task's own words for it."""

    partition: Annotated[str, Field(pattern=r"^[a-z0-9_.*-]{1,200}$")]
    """Attribute, or attributes joined by `*`."""
    group: Annotated[str, Field(max_length=200)]
    """One of the values that the task declares, `other` or `unknown`."""
    suppressed: Suppression = ""
    """Why its numbers are withheld."""
    n: int | None = None
    """Cases in it; absent where withheld."""
    patients: int | None = None
    """Patients in it; absent where withheld."""
    means: dict[Name, float] = Field(default_factory=dict)
    """By metric its mean, to three digits; none where withheld."""


class Software(Record):
    """What computed the numbers."""

    radbench: Label
    """Version of radbench."""
    python: Label
    """Version of Python."""
    numpy: Label
    """Version of numpy."""
    scipy: Label
    """Version of scipy."""


class Bundle(Record):
    """A bundle."""

    format: Literal["radbench-bundle"] = "radbench-bundle"
    """What this file is."""
    schema_version: Literal[1] = 1
    """Version of this record."""
    kind: Literal["cases", "sums"]
    """`cases`: values by case under keyed ids; `sums`: sums over all cases alone."""
    site: Site
    """Name that the site gives itself."""
    task: Name
    """Task name."""
    task_version: Label
    """Task version."""
    data: Literal["real", "phantom"]
    """Whose images they are; phantoms are nobody's."""
    scorer: Label
    """Version and hash of the code that turned files into numbers."""
    metrics: Hash
    """Hash of the task's metric section: metrics and options, what is compared with what, how is resampled."""
    references: Hash
    """HMAC of the references' hash under the site's key: says whether two bundles of a site are on the same data, and nothing else."""
    submission: Name
    """Name of the submission."""
    digest: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{20,64}|[0-9a-f]{8,64})?$")]
    """What was run; empty where only files are known."""
    engine: Label
    """What ran it, such as `podman/exec`; `predictions` where its outputs came as files."""
    software: Software
    """What computed the numbers."""
    minimum: int = Field(ge=2)
    """Patients below which a group, or a site, says nothing."""
    n: int = Field(ge=2, le=MOST_CASES)
    """Cases."""
    patients: int = Field(ge=2)
    """Patients."""
    cases: tuple[CaseLine, ...] = ()
    """In the order of their ids; none in sums."""
    parts: tuple[Parts, ...] = ()
    """For metrics of a set; none in sums."""
    sums: tuple[Sums, ...] = ()
    """One a metric that has a value by case and is finite here."""
    groups: tuple[GroupLine, ...] = ()
    """By the attributes whose values the task declares."""
    left_out: tuple[Name, ...] = ()
    """Attributes of the task that are not in it, since their values are not declared and might be anything."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = "0" * 64
    """Hash over all the rest."""


def check_site(site: str) -> None:
    """Raises `UsageError('bad_value')` for a name that no site can have."""
    if not SITE.match(site):
        raise UsageError("bad_value", f"site {site!r}", expected="lower-case letters, digits and `-`, at most 40")


def sealed(bundle: Bundle) -> Bundle:
    """The bundle with its hash."""
    return bundle.model_copy(update={"sha256": hash_of(bundle.model_dump(mode="json"))})


def hash_of(content: dict[str, Any]) -> str:
    """sha256 over the record in the one way of writing it, without `sha256` itself."""
    bare = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(canonical(bare).encode()).hexdigest()


def encoded(value: float) -> Number:
    """A metric's value as it stands in the file."""
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


def write(bundle: Bundle, path: Path) -> None:
    """Write the file; the same bundle gives the same bytes."""
    atomic.write_json(path, bundle.model_dump(mode="json"))


def read(path: Path) -> Bundle:
    """Read a file of a stranger's and check schema and hash.

    Raises `UsageError('path')` where there is none, and `DataError('bundle_invalid')`, which never quotes a value.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError("bundle_invalid", f"{path} is larger than {MOST_BYTES >> 20} MiB")
        content = json.loads(path.read_bytes().decode("utf-8"))
    except OSError:
        raise UsageError("path", f"{path} cannot be read", expected="a bundle of `radbench score --bundle`") from None
    except (ValueError, RecursionError):
        raise DataError("bundle_invalid", f"{path} is not JSON", expected="the file as the site wrote it") from None
    if not isinstance(content, dict) or content.get("format") != "radbench-bundle":
        raise DataError("bundle_invalid", f"{path} is not a bundle", expected='"format": "radbench-bundle"')
    try:
        found = Bundle.model_validate(content)
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(str(part)[:40] for part in item['loc'])}: {item['type']}" for item in error.errors()[:3]
        )
        raise DataError("bundle_invalid", f"{path}: {error.error_count()} problems ({places})") from None
    if (made := hash_of(found.model_dump(mode="json"))) != found.sha256:
        raise DataError(
            "bundle_invalid", f"{path}: its content has the hash {made}", expected=f"{found.sha256}, which it names"
        )
    _consistent(found, path)
    return found


def _consistent(found: Bundle, path: Path) -> None:
    ids = [case.id for case in found.cases]
    problem = ""
    if found.kind == "sums" and (found.cases or found.parts):
        problem = "is of sums and holds cases"
    elif found.kind == "cases" and len(ids) != found.n:
        problem = f"says that it has {found.n} cases and holds {len(ids)}"
    elif len(set(ids)) != len(ids):
        problem = "holds a case twice"
    elif any(set(part.scans) != set(ids) for part in found.parts):
        problem = "has parts for other cases than its own"
    elif found.patients < found.minimum:
        problem = f"is of {found.patients} patients, fewer than its minimum of {found.minimum}"
    elif any(case.code and case.code not in CATALOGUE["submission"] for case in found.cases):
        problem = "has a code that is none of the catalogue's"
    elif any(g.suppressed in ("small", "complementary") and (g.means or g.n is not None) for g in found.groups):
        problem = "shows a group that it withholds"
    if problem:
        raise DataError("bundle_invalid", f"{path} {problem}")


def signature(path: Path, key: bytes) -> str:
    """HMAC-SHA256 of the file's bytes under a key that both sides hold. Raises `UsageError('path')` where there is no such file."""
    if not path.is_file():
        raise UsageError("path", f"{path} cannot be read", expected="a bundle of `radbench score --bundle`")
    return hmac.new(key, path.read_bytes(), hashlib.sha256).hexdigest()


def check_signature(path: Path, signed: Path, key: bytes) -> None:
    """Raises `DataError('bundle_invalid')` where the file is not as somebody with that key signed it."""
    made = signature(path, key)
    try:
        given = signed.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise DataError("bundle_invalid", f"there is no signature {signed}", expected="the file beside it") from None
    if not hmac.compare_digest(given, made):
        raise DataError("bundle_invalid", f"{path} is not what was signed with this key")
