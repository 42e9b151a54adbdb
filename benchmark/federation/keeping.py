"""Are the bundles that are kept, and the editions made from them, what their hashes say and fit to be merged again?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from benchmark.contract import FEDERATED, DatasetInfo
from benchmark.dataset import sha256_of
from benchmark.errors import RadbenchError
from benchmark.federation import bundle as bundles
from benchmark.store import KEY_LENGTH


def problems(root: Path, data: Path) -> Iterator[tuple[str, str]]:
    """Where and what is wrong with the bundles of the store at `root` and the federated editions at `data`; changes nothing."""
    kept: dict[str, set[str]] = {}
    for path in sorted((root / "bundles").rglob("*")):
        where = path.relative_to(root).as_posix()
        if path.is_dir() and not path.is_symlink() and path.parent == root / "bundles":
            continue
        if path.name.startswith(".") and path.name.endswith(".partial"):
            continue  # what a killed process left, and nobody reads
        if path.is_symlink() or not path.is_file() or path.parent.parent != root / "bundles":
            yield where, "does not belong there: it is no bundle"
            continue
        try:
            found = bundles.read(path)
        except RadbenchError as error:
            yield where, f"is no whole bundle ({error.found.replace(str(path), 'it')})"
            continue
        if path.name != f"{found.sha256[:KEY_LENGTH]}.json" or found.task != path.parent.name:
            yield where, f"is the bundle {found.sha256[:KEY_LENGTH]} of {found.task}"
        kept.setdefault(path.parent.name, set()).add(found.sha256)
    for folder in sorted(data.glob(f"[!.]*/{FEDERATED}")):
        yield from _edition(folder, kept.get(folder.parent.name, set()))


def _edition(folder: Path, kept: set[str]) -> Iterator[tuple[str, str]]:
    where = f"data/{folder.parent.name}/{FEDERATED}"
    try:
        info = DatasetInfo.model_validate_json((folder / "dataset.json").read_bytes())
        found = {name: sha256_of(folder / name) for name in info.files if name == "cases.csv"}
    except (OSError, ValidationError, ValueError):
        yield where, "cannot be read"
        return
    if (info.task, info.edition) != (folder.parent.name, FEDERATED):
        yield where, f"is the edition {info.edition} of {info.task}"
    if found != info.files or set(found) != {"cases.csv"}:
        yield where, "is not what its hashes say"
    used = info.parameters.get("bundles")
    if not isinstance(used, list) or not set(map(str, used)) <= kept:
        yield where, "was made from bundles that are not kept"
