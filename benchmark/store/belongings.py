"""What goes along with runs, scores and placements to another work folder, and under which names an archive may hold it.

    in the archive                    in the work folder
    reproductions/<inference key>.json    store/…, of the runs that go along
    bundles/<task>/<hash>.json            store/…, where a task's federated rows go along
    work/data/<task>/federated/…          data/…, the edition of numbers that was made from them
    pins.json                             store/…, those that name what goes along
    work/ledger.jsonl                     …, where nothing is left out
    embargo.key, work/federation.key, work/secrets/deidentification.key    store/… and …, only where asked for

What is small and may be replaced while it is read (placements, reproductions, pins, the ledger) is taken as bytes, once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmark import atomic, ledger, secret
from benchmark.contract import FEDERATED, Method, RunRecord
from benchmark.contract.names import NAME
from benchmark.errors import DataError
from benchmark.store.keys import KEY_LENGTH
from benchmark.store.pins import FILE as PINS
from benchmark.store.pins import load_pins, pins_text
from benchmark.store.placements import Placement, load_placements, placement_file
from benchmark.store.records import load_run
from benchmark.store.reproductions import load_reproduction, reproduction_file
from benchmark.workplace import Workplace

WORK = "work/"
"""Before what does not lie in the store but beside it."""
_HOUSE = Workplace(Path())
LEDGER = f"{WORK}{_HOUSE.ledger.as_posix()}"
KEYS = (
    _HOUSE.embargo_key.relative_to(_HOUSE.store).as_posix(),
    f"{WORK}{_HOUSE.federation_key.as_posix()}",
    f"{WORK}{_HOUSE.pseudonym_key.as_posix()}",
)
"""Secret keys of a house."""
SUFFIX = re.compile(rf"^[0-9a-f]{{{KEY_LENGTH}}}\.json$")
EDITION_FILES = ("cases.csv", "dataset.json")
"""All files of a federated edition."""


def place_of(root: Path, name: str) -> Path:
    """Where a path of an archive belongs, for the store at `root`."""
    return root.parent / name.removeprefix(WORK) if name.startswith(WORK) else root / name


def shown(name: str) -> str:
    """A path of an archive as it lies in the work folder, for people."""
    return name.removeprefix(WORK) if name.startswith(WORK) else f"store/{name}"


def may_be(name: str, runs: Collection[str]) -> bool:
    """Whether something that goes along has that name; `name` has neither empty parts nor `..`. `runs` are those of the archive."""
    if name in (PINS, LEDGER, *KEYS):
        return True
    match name.split("/"):
        case ["submissions", task, edition, file]:
            return all(NAME.match(part) for part in (task, edition, file)) and file.endswith(".json")
        case ["reproductions", file]:
            return bool(SUFFIX.match(file)) and file.removesuffix(".json") in runs
        case ["bundles", task, file]:
            return bool(NAME.match(task) and SUFFIX.match(file))
        case ["work", "data", task, edition, file]:
            return bool(NAME.match(task)) and edition == FEDERATED and file in EDITION_FILES
    return False


def of_runs(root: Path, runs: Sequence[RunRecord], placements: Sequence[Placement]) -> dict[str, bytes]:
    """Placements, reproductions and pins of what goes along, by path in the archive."""
    found = {}
    for item in placements:
        path = placement_file(root, item.task, item.edition, item.method.name)
        found[path.relative_to(root).as_posix()] = path.read_bytes()
    for run in runs:
        path = reproduction_file(root, run.key)
        if path.exists():
            found[path.relative_to(root).as_posix()] = path.read_bytes()
    names = {run.key for run in runs} | {run.method.name for run in runs} | {item.method.name for item in placements}
    if pinned := load_pins(root) & names:
        found[PINS] = pins_text(pinned)
    return found


def of_federation(root: Path, tasks: Iterable[str]) -> dict[str, bytes]:
    """Bundles and federated editions of these tasks, by path in the archive."""
    found = {}
    for task in sorted(tasks):
        for path in sorted((root / "bundles" / task).glob("[!.]*.json")):
            found[f"bundles/{task}/{path.name}"] = path.read_bytes()
        for name in EDITION_FILES:
            key = f"{WORK}data/{task}/{FEDERATED}/{name}"
            if place_of(root, key).exists():
                found[key] = place_of(root, key).read_bytes()
    return found


def tasks_with_bundles(root: Path) -> list[str]:
    """Tasks of which bundles were taken in."""
    return sorted(path.name for path in (root / "bundles").glob("[!.]*") if path.is_dir())


def of_ledger(root: Path) -> dict[str, bytes]:
    """The ledger, without a torn last line; nothing where there is none. Raises `DataError('ledger_broken')` where it is not whole."""
    path = place_of(root, LEDGER)
    _whole(path)
    data = path.read_bytes() if path.exists() else b""
    data = data[: data.rfind(b"\n") + 1]
    return {LEDGER: data} if data else {}


def of_keys(root: Path) -> dict[str, bytes]:
    """The secret keys that there are. Raises `DataError('record_invalid')` for a file that holds none."""
    found = {}
    for name in KEYS:
        path = place_of(root, name)
        if path.exists():
            secret.load_key(path)
            found[name] = path.read_bytes()
    return found


def embargoed(methods: Iterable[Method]) -> int:
    """Of how many submissions the name is or was under embargo, and the address hence a pseudonym."""
    return len({method.name for method in methods if method.embargo is not None})


def wrong(folder: Path, names: Collection[str], runs: Sequence[str]) -> Iterator[str]:
    """What is not as it should be of that which goes along, unpacked at `folder` with the paths of the archive; a sentence each."""
    try:
        if PINS in names:
            known = {*runs, *(item.method.name for item in load_placements(folder))}
            known |= {record.method.name for key in runs if (record := load_run(folder, key))}
            pinned = load_pins(folder)
            if not pinned or not pinned <= known or (folder / PINS).read_bytes() != pins_text(pinned):
                yield f"{PINS} pins nothing, or what is not in the archive"
        for name in KEYS:
            if name in names:
                secret.load_key(folder / name)
        if LEDGER in names:
            _whole(folder / LEDGER)
    except DataError as error:
        yield error.found
    if any(name.startswith(("bundles/", f"{WORK}data/")) for name in names):
        from benchmark.federation import keeping  # only here: the schema of bundles takes long to load

        for where, text in keeping.problems(folder, folder / WORK / "data"):
            yield f"{where} {text}"


def _whole(path: Path) -> None:
    problems = ledger.verify(path)
    if problems:
        raise DataError("ledger_broken", f"{path}: {problems[0]}")


def put_reproduction(folder: Path, root: Path, run: str) -> bool:
    """Put a run's reproduction in place, unless there is one of that day or later; whether it was."""
    theirs, ours = load_reproduction(folder, run), load_reproduction(root, run)
    if theirs is None or (ours is not None and theirs.when <= ours.when):
        return False
    atomic.write_bytes(reproduction_file(root, run), reproduction_file(folder, run).read_bytes())
    return True


def put_pins(folder: Path, root: Path) -> int:
    """Pin here what the archive pins, and let go of nothing; how many are new."""
    theirs, ours = load_pins(folder), load_pins(root)
    if theirs - ours:
        atomic.write_bytes(root / PINS, pins_text(theirs | ours))
    return len(theirs - ours)


def put_keys(folder: Path, root: Path, names: Collection[str]) -> tuple[str, ...]:
    """Put keys in place, for their owner's eyes alone; those that are new."""
    new = []
    for name in KEYS:
        path = place_of(root, name)
        if name in names and not path.exists():
            secret.put_key(path, secret.load_key(folder / name))
            new.append(shown(name))
    return tuple(new)


def put_edition(folder: Path, root: Path, name: str) -> None:
    """Put a federated edition in place; the store and the data may lie on two disks."""
    with atomic.folder(place_of(root, name)) as made:
        for file in EDITION_FILES:
            (made / file).write_bytes((folder / name / file).read_bytes())


def differing_keys(files: Mapping[str, object], folder: Path, root: Path) -> list[str]:
    """Keys of the archive in whose place there is another one."""
    return [
        name
        for name in KEYS
        if name in files
        and place_of(root, name).exists()
        and secret.load_key(place_of(root, name)) != secret.load_key(folder / name)
    ]
