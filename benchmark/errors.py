"""The kinds of failure, each with a stable code, and who answers for it.

The *type* of an error decides what happens next, everywhere in the harness:

- `SubmissionError`: the participant's. It is shown to them, the case takes the worst value, the attempt counts.
- `InfrastructureError`: ours. It is retried and never counts as an attempt.
- `DataError`: the task or the data edition is broken. It stops the work on that task, not on the others.
- `UsageError`: the command was called with something that does not exist; nothing was run.
- anything else is a bug: a traceback for the organiser, a plain sentence for the participant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Kind:
    """What a code means, declared once; `docs/errors.md` and every message are made from it."""

    code: str
    """Stable identifier, in lower case with underscores; it is written into score tables and never reused."""
    meaning: str
    """One sentence: what happened."""
    action: str
    """One sentence: what the person who meets it can do."""


CATALOGUE: dict[str, dict[str, Kind]] = {
    "submission": {
        kind.code: kind
        for kind in (
            Kind("missing", "No output was found for this case.", "Write one file per case under the declared name."),
            Kind("extra_output", "More files than the one asked for were found.", "Write exactly one file per output."),
            Kind(
                "unreadable",
                "The output is not a readable file of the declared kind.",
                "Open the file with SimpleITK (images) or a JSON parser (values) before you submit.",
            ),
            Kind(
                "geometry",
                "The output does not lie on the grid of the reference.",
                "Copy size, spacing, origin and direction from the input image.",
            ),
            Kind(
                "non_finite",
                "The prediction holds NaN or infinity where it is scored.",
                "Replace non-finite values; look for a division by zero or an overflow in half precision.",
            ),
            Kind(
                "not_numeric",
                "The prediction's voxels are not plain numbers.",
                "Write an integer or floating-point image.",
            ),
            Kind("not_scalar", "The image has several values a voxel.", "Write a single-channel image."),
            Kind(
                "not_labels",
                "The segmentation holds values between whole numbers.",
                "Write labels, not probabilities: take the most probable label or a threshold before you write.",
            ),
            Kind(
                "schema", "The JSON output does not have the declared structure.", "Compare it with the task's example."
            ),
            Kind("crashed", "The model ended with an error.", "Read the log of the canary cases; run `radbench try`."),
            Kind(
                "timeout",
                "The model took longer than the task allows for a case.",
                "Make it faster, or check that it found the GPU.",
            ),
            Kind("out_of_memory", "The model used more memory than the task allows.", "Lower its peak memory."),
            Kind(
                "output_too_large", "The output is larger than the task allows.", "Write only what the task asks for."
            ),
            Kind(
                "unknown_case",
                "A prediction was found for a case that this split does not hold.",
                "It is ignored; check that the right edition and split were predicted.",
            ),
            Kind(
                "manifest",
                "The submission's manifest is not valid.",
                "Mend the keys that the message names; submissions/README.md lists them all.",
            ),
            Kind(
                "build_failed",
                "The Containerfile cannot be built.",
                "Read the lines of the build above the message; build it by hand with the same engine.",
            ),
            Kind(
                "image_unreadable",
                "The image or archive cannot be read.",
                "Write it with `docker save IMAGE | gzip -c > name.tar.gz`, one image in it.",
            ),
            Kind(
                "image_platform",
                "The image is for another processor or operating system.",
                "Build it with `--platform linux/amd64`.",
            ),
            Kind("image_too_large", "The image is larger than allowed.", "Leave build tools and caches out of it."),
            Kind(
                "image_root",
                "The image runs as root.",
                "Add an ordinary user and `USER` with its name or number to the Containerfile.",
            ),
            Kind(
                "image_environment",
                "The image sets a variable or an annotation that takes hold of programs outside of it.",
                "Leave it out when you build the image.",
            ),
            Kind(
                "image_changed",
                "The image is not the one that was pinned.",
                "Submit the image again, or name the digest that it has now.",
            ),
            Kind(
                "not_allowed",
                "The submission asks for something that this engine does not do.",
                "Read the submission schema in submissions/README.md.",
            ),
        )
    },
    "infrastructure": {
        kind.code: kind
        for kind in (
            Kind("no_registry", "A package registry could not be reached.", "Check the network; phantoms need none."),
            Kind("checksum", "A downloaded file is not the one that was pinned.", "Delete the cache and try again."),
            Kind(
                "start_failed", "The model's process or server did not start.", "Read the log that the message names."
            ),
            Kind(
                "busy",
                "Another radbench process is at work in the same place.",
                "Wait for it, or choose another folder.",
            ),
            Kind(
                "no_space",
                "The disk is full.",
                "Free some space and run the command again; it goes on where it stopped.",
            ),
            Kind(
                "predictions_removed",
                "The predictions of a run are gone, and its scores are not those of the present scorer.",
                "Run the submission again; pin what must not be removed (`radbench store pin`).",
            ),
            Kind(
                "read_only",
                "A folder that must be written to cannot be.",
                "Give the organiser's user the right to write there, or mount the disk for writing.",
            ),
            Kind(
                "no_engine",
                "No container engine was found.",
                "Install Podman (`apt-get install podman`), Docker or Apptainer; `radbench doctor` says more.",
            ),
            Kind(
                "engine_unfit",
                "The container engine cannot hold a container to its limits.",
                "Run `radbench doctor` and follow what it says.",
            ),
            Kind("engine_failed", "The container engine failed.", "Run `radbench doctor`, then the command again."),
            Kind("missing_extra", "An optional package is not installed.", "Install the named extra."),
            Kind(
                "low_disk",
                "There is less free disk space than the organiser asks for.",
                "Free some space (`radbench store gc` removes what no board needs), or lower `disk_low_gb` in radbench.toml.",
            ),
            Kind(
                "image_gone",
                "What was handed in can no longer be fetched, or lies in the inbox no more.",
                "Reach the registry, push the image again under the same digest, or put the entry back; it is tried again each night.",
            ),
            Kind(
                "gpu_lost",
                "The GPU does not answer any more.",
                "Look at `nvidia-smi` and the kernel's log; what needs a GPU is run in the next night that has one.",
            ),
            Kind(
                "clock_jumped",
                "The machine's clock was set forward or back.",
                "Have the clock kept by NTP; what a quota or a phase allows may have been judged by a wrong time.",
            ),
            Kind(
                "changed_meanwhile",
                "What the work was planned from was changed while it went on: the task, the data edition or radbench itself.",
                "Nothing need be done: the next night works with what is there now. Change such things while no night is at work.",
            ),
            Kind(
                "worker_lost",
                "A worker ended in the middle of a job, again and again.",
                "Look for what killed it (the kernel's log names what ran out of memory); lower `workers` or raise `memory_mb`.",
            ),
            Kind(
                "worker_unfit",
                "No worker can do the job, or the one that took it lacks what it needs.",
                "Give the workers what the message names: a GPU, the shared folders, this version of radbench.",
            ),
            Kind(
                "cluster_lost",
                "The cluster's scheduler cannot be reached.",
                "Look whether it runs, then run the command again; it goes on where it stopped.",
            ),
        )
    },
    "data": {
        kind.code: kind
        for kind in (
            Kind("task_invalid", "The task's declaration is not valid.", "Mend the key that the message names."),
            Kind(
                "unknown_metric", "The task names a metric that does not exist.", "See docs/metrics.md for the names."
            ),
            Kind(
                "edition_missing",
                "The data edition has not been prepared.",
                "Run `radbench prepare` or `radbench import`.",
            ),
            Kind(
                "edition_broken", "The data edition does not match its own hashes.", "Delete it and prepare it again."
            ),
            Kind("reference_invalid", "A reference cannot be scored against.", "Mend or exclude the case."),
            Kind(
                "import_layout",
                "The folder is not in the layout of that public data set.",
                "Point to the folder that holds the tree that the message describes.",
            ),
            Kind("unreadable_volume", "An image of the data set cannot be read.", "Check the download of that file."),
            Kind(
                "identity",
                "The DICOM files still say who the patient is.",
                "Run it again with `--deidentify`, or de-identify the files first.",
            ),
            Kind(
                "record_invalid",
                "A stored record is not what this version writes.",
                "Run the step that wrote it again.",
            ),
            Kind(
                "store_newer",
                "The store was written by a later version of radbench.",
                "Use that version or a later one; what an older one would write into it might be wrong.",
            ),
            Kind(
                "store_broken",
                "Something in the store is not what its hash says, or not whole.",
                "Run `radbench store check`, and put back what it names from an export or a copy.",
            ),
            Kind(
                "archive_invalid",
                "An archive of runs and scores cannot be taken in.",
                "Ask for it anew from whoever made it, with the hash that `radbench store export` printed.",
            ),
            Kind(
                "bundle_invalid",
                "A bundle of federated scores cannot be taken in.",
                "Ask the site for it anew; docs/federated.md says what must agree.",
            ),
            Kind(
                "ledger_broken",
                "The ledger is not the chain that was written.",
                "Run `radbench ledger verify`; put the ledger back from a copy, or set it aside with a note of why.",
            ),
            Kind(
                "ledger_fact",
                "Something was to be written into the ledger that has no place there.",
                "Leave it out: the ledger holds codes, counts, hashes and names, and no secrets and nothing of sealed data.",
            ),
            Kind(
                "site_differs",
                "A published file is not what its hash says, or a published number not what its own table gives.",
                "Put the site back from a copy, or publish again into an empty folder.",
            ),
        )
    },
    "usage": {
        kind.code: kind
        for kind in (
            Kind("unknown_name", "There is nothing of that name.", "Choose one of the names that the message lists."),
            Kind(
                "bad_value",
                "A value is outside what is possible.",
                "Choose a value in the range that the message gives.",
            ),
            Kind("path", "The path is not what was expected.", "Check the path."),
            Kind(
                "config",
                "The organiser's configuration is not valid.",
                "Mend the keys that the message names; docs/organisers.md lists them all.",
            ),
        )
    },
}
"""Every code by group: whose it is, what it means, what to do."""


def in_words(group: str, code: str) -> str:
    """What a code means and what to do, in fixed words that no container had a part in. Raises `KeyError` when there is none."""
    kind = CATALOGUE[group][code]
    return f"{kind.meaning} {kind.action}"


class RadbenchError(Exception):
    """Base of the errors that a person is meant to read: a code, what was found, what was expected, what to do.

    Raises `KeyError` when the code is not declared in `CATALOGUE` for this type: a code is declared before it is used.
    """

    group: ClassVar[str] = ""
    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, found: str, *, expected: str = "", action: str = "") -> None:
        self.kind = CATALOGUE[self.group][code]
        self.code = code
        self.found = found
        self.expected = expected
        self.action = action or self.kind.action
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """Found, expected and action in one line of plain words."""
        parts = [self.found.rstrip(".")]
        if self.expected:
            parts.append(f"expected {self.expected.rstrip('.')}")
        return "; ".join(parts) + f". {self.action}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.found, self.expected, self.action))


def _rebuild(cls: type[RadbenchError], code: str, found: str, expected: str, action: str) -> RadbenchError:
    return cls(code, found, expected=expected, action=action)


MOST_QUOTED = 600
"""Characters of what was found that a sentence quotes."""


class SubmissionError(RadbenchError):
    """The participant's: shown to them, counted as an attempt, the case takes the metric's worst value.

    What was found may quote what a stranger wrote: it becomes one printable line, cut to 600 characters.
    """

    group = "submission"
    exit_code = 3

    def __init__(self, code: str, found: str, *, expected: str = "", action: str = "") -> None:
        line = "".join(c if c.isprintable() else " " if c in "\n\r\t" else "\ufffd" for c in found[: 4 * MOST_QUOTED])
        line = line if len(found) <= MOST_QUOTED else f"{line[:MOST_QUOTED]} …"
        super().__init__(code, line, expected=expected, action=action)


class InfrastructureError(RadbenchError):
    """Ours: retried, never counted as an attempt."""

    group = "infrastructure"
    exit_code = 4


class DataError(RadbenchError):
    """The task or its data is broken: stops the work on that task."""

    group = "data"
    exit_code = 5


class UsageError(RadbenchError):
    """The command names something that does not exist or is out of range."""

    group = "usage"
    exit_code = 2
