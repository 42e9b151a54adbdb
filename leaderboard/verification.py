"""Whether a published site is what it says: every hash, and every number from the per-case tables again.

An edition is read back from its own files (`board.json`, `cases.json`, `sampling.json`), without the store. From the per-case
scores come the aggregates, intervals, ranks and ties once more, by the very functions that made them; from the records come all
tables once more, which must be the published ones byte for byte (Parquet: value for value, since its bytes name the library).

Metrics of the whole set and curves of a detection task come again from what each scan adds to them (`parts.json`), the fairness audit
from the attributes of the cases where those may be published (`attributes.json`). What cannot be had is said and not passed over, see
`recomputed`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from benchmark import ledger, store
from benchmark.contract import Board, Case, Row, Score
from benchmark.errors import DataError
from benchmark.statistics import bootstrap
from leaderboard import crate, downloads, exports_parquet, history, pages, recomputed, remade, setparts, site
from leaderboard.cache import code
from leaderboard.marks import fill
from leaderboard.records import BoardData
from leaderboard.scripts import static_files


@dataclass
class Verified:
    """What a verification found."""

    differences: list[str] = field(default_factory=list)
    """What is not as it should be, in the order found; empty for a site that is right."""
    unchecked: list[str] = field(default_factory=list)
    """What could not be recomputed, and why."""
    editions: int = 0
    files: int = 0
    numbers: int = 0
    """Numbers that were recomputed."""


def verify(root: Path, book: Path | None = None) -> Verified:
    """Check the site in that folder and, where it is named, the ledger `book`, which must hold every head that an edition notes.

    Raises `DataError` where there is no site."""
    found = Verified()
    folders = sorted(path for path in (root / "editions").glob("[!.]*") if path.is_dir())
    if not folders:
        raise DataError(
            "edition_missing", f"there is no edition in {root}", action="Name the folder that `radbench publish` made."
        )
    records: dict[str, dict[str, Any]] = {}
    for folder in folders:
        record = _record(folder, found)
        if record is not None:
            records[folder.name] = record
            found.editions += 1
            _files(folder, record["files"], found, extra={"edition.json"})
            _edition(folder, record, found)
    if records:
        found.unchecked.append(
            f"{root}: no table gives {'; '.join(dict.fromkeys(recomputed.STATED.values()))}; pictures of public cases, and the "
            "pages and viewers of single ones, are checked by their hashes alone"
        )
    _chain(list(records.values()), found)
    _front(root, records, found)
    heads = [record["ledger_head"] for record in records.values() if record.get("ledger_head")]
    if book is not None:
        found.differences += [f"{book}: {text}" for text in ledger.verify(book, heads)]
    elif heads:
        found.unchecked.append(
            f"{root}: its editions note {len(heads)} heads of the ledger, which only the organiser has"
        )
    return found


def _record(folder: Path, found: Verified) -> dict[str, Any] | None:
    path = folder / "edition.json"
    try:
        record = json.loads(path.read_text("utf-8"))
        expected = site.sealed(record)["seal"]
        if record["id"] != folder.name:
            raise ValueError(f"it calls itself {record['id']!r}")
        if record["seal"] != expected:
            raise ValueError(f"its seal is {record['seal']}, its content gives {expected}")
        if record["date"] != record["id"][:10] or not record["content"].startswith(record["id"][11:]):
            raise ValueError("its date or its content hash is not that of its id")
        if not isinstance(record["files"], dict) or not isinstance(record["boards"], list):
            raise ValueError("it lists no files or no boards")
        return dict(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        found.differences.append(f"{path}: {_said(error)}")
        return None


def _said(error: BaseException) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error).replace("\n", " ")


def _files(folder: Path, hashes: Mapping[str, str], found: Verified, extra: set[str]) -> None:
    """Every file that the record lists, by hash, and no other."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    for path, digest in sorted(hashes.items()):
        if path not in there:
            found.differences.append(f"{folder / path}: it is missing")
            continue
        actual = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        found.files += 1
        if actual != digest:
            found.differences.append(f"{folder / path}: its sha256 is {actual}, the edition says {digest}")
    for path in sorted(there - hashes.keys() - extra):
        found.differences.append(f"{folder / path}: the edition does not list it")


def _chain(records: Sequence[Mapping[str, Any]], found: Verified) -> None:
    """Numbers without gaps, each edition naming the seal of the one before."""
    ordered = sorted(records, key=lambda record: int(record["number"]))
    for i, record in enumerate(ordered):
        if record["number"] != i + 1:
            found.differences.append(f"edition {record['id']}: its number is {record['number']}, expected {i + 1}")
        before = {"id": ordered[i - 1]["id"], "seal": ordered[i - 1]["seal"]} if i else None
        if record.get("before") != before:
            found.differences.append(f"edition {record['id']}: the edition before it is not the one that it names")
    for earlier, later in pairwise(ordered):
        expected = hashlib.sha256(history.change_bytes(history.change(earlier, later))).hexdigest()
        if later.get("maker") == site.maker() and later["files"].get("changes.json") != expected:
            found.differences.append(f"edition {later['id']}: changes.json is not what the two editions give")


def _front(root: Path, records: Mapping[str, Mapping[str, Any]], found: Verified) -> None:
    """The pages at the front, by the hashes of `newest.json`."""
    path = root / site.NEWEST
    try:
        record = json.loads(path.read_text("utf-8"))
        expected = site.sealed(record)["seal"]
        if record["seal"] != expected:
            raise ValueError(f"its seal is {record['seal']}, its content gives {expected}")
        if record["edition"] not in records or record["path"] != f"editions/{record['edition']}/index.html":
            raise ValueError(f"it names the edition {record['edition']!r}, which is not there")
    except (OSError, ValueError, KeyError, TypeError) as error:
        found.differences.append(f"{path}: {_said(error)}")
        return
    for name, digest in sorted(record["files"].items()):
        page = root / name
        actual = hashlib.sha256(page.read_bytes()).hexdigest() if page.is_file() else "missing"
        found.files += 1
        if actual != digest:
            found.differences.append(f"{page}: its sha256 is {actual}, {site.NEWEST} says {digest}")


def _edition(folder: Path, record: Mapping[str, Any], found: Verified) -> None:
    """All tables and numbers of one edition."""
    data: list[BoardData] = []
    for item in record["boards"]:
        where = folder / "tasks" / str(item.get("slug", ""))
        try:
            one = read_board(where)
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            found.differences.append(f"{where}: its tables cannot be read: {_said(error)}")
            continue
        data.append(one)
        slug = where.name
        summary = json.loads(json.dumps(history.summary(one, slug)))
        if (summary != item) if record.get("maker") == site.maker() else not agrees(item, summary):
            found.differences.append(f"{folder / 'edition.json'}: what it says of {slug} is not what board.json says")
        _numbers(where, one, found, record.get("maker") == site.maker())
        try:
            made = downloads.board_files(one, slug, record.get("base_url", "")).files
        except (ValueError, KeyError, TypeError, StopIteration) as error:
            found.differences.append(f"{where}: its tables cannot be made again: {_said(error)}")
            continue
        for path, content in made.items():
            _compare(folder, path, content, record, found)
    if record.get("maker") != site.maker():
        found.unchecked.append(
            f"{folder}: its tables were written by {record.get('maker', 'an older version')}, and this is {site.maker()}: compared "
            "value for value, not byte for byte; .tex, .bib and .cff by their hashes alone"
        )
    if len(data) == len(record["boards"]):
        _whole(folder, record, data, found)
        if record.get("maker") == site.maker():
            _crate(folder, record, data, found)
        if record.get("code") == code():
            _pages(folder, record, data, found)
            return
    found.unchecked.append(f"{folder}: its pages were made by other code than this one: checked by their hashes alone")


def _crate(folder: Path, record: Mapping[str, Any], data: Sequence[BoardData], found: Verified) -> None:
    """What the edition tells repositories of itself and of its files."""
    named = [(item["slug"], one.board) for item, one in zip(record["boards"], data, strict=True)]
    files = {
        path: (sha, (folder / path).stat().st_size)
        for path, sha in record["files"].items()
        if path != crate.NAME and (folder / path).is_file()
    }
    made = crate.metadata(record["id"], named, files, record.get("base_url", ""))
    _compare(folder, crate.NAME, made, record, found)


def _pages(folder: Path, record: Mapping[str, Any], data: Sequence[BoardData], found: Verified) -> None:
    """Pages and scripts, but for pictures and what stands beside them."""
    base_url, views = record.get("base_url", ""), []
    for item, one in zip(record["boards"], data, strict=True):
        cases = f"tasks/{item['slug']}/cases/"
        pictured = any(path.startswith(cases) and path.count("/") > cases.count("/") for path in record["files"])
        try:
            one, view = remade.view_of(one, item["slug"], pictured)
            views.append(view)
            files = remade.board_files(one, view, base_url)
        except (DataError, ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
            found.differences.append(
                f"{folder / 'tasks' / item['slug']}: its pages cannot be made again: {_said(error)}"
            )
            continue
        for path, content in files.items():
            if path.endswith((".html", ".js")):
                _page(folder, path, content, record, found, pictured)
    if len(views) == len(data):
        links = downloads.edition_files(data, base_url)[1]
        for path, content in {**pages.edition_pages(views, links), **static_files()}.items():
            _page(folder, path, content, record, found, False)


def _page(folder: Path, path: str, content: bytes, record: Mapping[str, Any], found: Verified, pictured: bool) -> None:
    """A page or script with the one made again; of a page with pictures, all but these."""
    file = folder / path
    if not file.is_file() or not path.endswith(pages.PAGE):
        _compare(folder, path, content, record, found)
        return
    made, published = fill(content.decode("utf-8"), path, record["id"], front=False), file.read_bytes()
    if pictured:
        made, published = (
            "\n".join(remade.without_pictures(text.decode("utf-8", "replace"))).encode() for text in (made, published)
        )
    if made != published:
        found.differences.append(f"{file}: {_first_difference(published, made)}")


def _whole(folder: Path, record: Mapping[str, Any], data: Sequence[BoardData], found: Verified) -> None:
    files, _ = downloads.edition_files(data, record.get("base_url", ""))
    for path, content in files.items():
        if not path.endswith(".parquet"):
            _compare(folder, path, content, record, found)
    tables = {
        exports_parquet.CASES: exports_parquet.cases_table(data),
        exports_parquet.AGGREGATES: exports_parquet.aggregates_table([one.board for one in data]),
    }
    for path, table in tables.items():
        try:
            published = pq.read_table(folder / path)
        except (OSError, pa.ArrowException) as error:
            found.differences.append(f"{folder / path}: it cannot be read: {_said(error)}")
            continue
        names = table.column_names
        if record.get("maker") != site.maker():
            names = [name for name in names if name in published.column_names]
        elif published.column_names != names:
            names = []
        if not names or any(published[name].to_pylist() != table[name].to_pylist() for name in names):
            found.differences.append(f"{folder / path}: it does not hold the numbers of the boards")


def _compare(folder: Path, path: str, content: bytes, record: Mapping[str, Any], found: Verified) -> None:
    """A published table with the one made again: byte for byte where this version wrote it, else value for value."""
    if path.endswith(downloads.MARKED):
        content = fill(content.decode("utf-8"), path, record["id"], front=False)
    file = folder / path
    if not file.is_file():
        # A listed file that is gone was told already; one that is not even listed was taken out of the list too.
        if record.get("maker") == site.maker() and path not in record["files"]:
            found.differences.append(f"{file}: it is missing, and edition.json does not list it")
        return
    if (published := file.read_bytes()) == content:
        return
    if record.get("maker") == site.maker():
        found.differences.append(f"{file}: {_first_difference(published, content)}")
    elif path.endswith((".json", ".csv")):
        try:
            same = agrees(_values(path, published), _values(path, content))
        except ValueError:
            same = False
        if not same:
            found.differences.append(f"{file}: {_first_difference(published, content)}")


def _values(path: str, data: bytes) -> Any:
    text = data.decode("utf-8")
    return json.loads(text) if path.endswith(".json") else list(csv.DictReader(io.StringIO(text)))


def agrees(published: Any, made: Any) -> bool:
    """Whether two values of JSON agree in all that both have: another version may know further keys, but no other numbers."""
    if isinstance(published, dict) and isinstance(made, dict):
        return all(agrees(value, made[key]) for key, value in published.items() if key in made and key != "rules")
    if isinstance(published, list) and isinstance(made, list):
        return len(published) == len(made) and all(map(agrees, published, made))
    return bool(published == made)


def _first_difference(published: bytes, made: bytes) -> str:
    pairs = zip(
        published.decode("utf-8", "replace").splitlines(), made.decode("utf-8", "replace").splitlines(), strict=False
    )
    for number, (a, b) in enumerate(pairs, start=1):
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            start = max(0, at - 30)
            return f"line {number} says …{a[start : at + 30]!r}, the tables give …{b[start : at + 30]!r}"
    return "it is longer or shorter than what the tables give"


def read_board(folder: Path) -> BoardData:
    """A board from its published files. The cases carry opaque group numbers and their place in the order of drawing."""
    board = Board.model_validate(_rows_of(folder / "board.json"))
    tables: dict[str, list[Score]] = {row.method.name: [] for row in board.rows}
    for item in _rows_of(folder / "cases.json")["rows"]:
        tables[item.pop("submission")].append(Score.model_validate(item))
    sampling = json.loads((folder / "sampling.json").read_text("utf-8"))
    listed = {"seed": bootstrap.SEED, "draws": bootstrap.DRAWS, "level": bootstrap.LEVEL, "split": board.split}
    if differing := [key for key, value in listed.items() if sampling[key] != value]:
        raise ValueError(f"sampling.json was made with another {', '.join(differing)}")
    task = board.task
    told = _attributes(folder)
    declared = {attribute.name for attribute in task.attributes} if told else set()
    cases = []
    for place, item in enumerate(sampling["cases"]):
        attributes = dict(told.get(item["case"], {}))
        if task.cluster and task.cluster not in declared:
            attributes[task.cluster] = item["cluster"]
        if task.stratify and task.stratify not in declared:
            attributes[task.stratify] = item["stratum"]
        cases.append(Case(id=item["case"], split=board.split, attributes=attributes, key=f"{place:08d}"))
    if told and told.keys() != {case.id for case in cases}:
        raise ValueError(f"{downloads.ATTRIBUTES} lists other cases than sampling.json")
    parts = {}
    for row in board.rows:
        own = folder / "submissions" / row.method.name / setparts.NAME
        if own.is_file():
            parts[row.method.name] = setparts.from_json(own.read_bytes())
    return BoardData(board=board, scores=tables, cases=cases, parts=parts, attributes_told=bool(told))


def _attributes(folder: Path) -> dict[str, dict[str, str]]:
    """By case id the declared attributes of each case; empty where they are not published."""
    path = folder / downloads.ATTRIBUTES
    if not path.is_file():
        return {}
    return {item.pop("case"): {name: str(value) for name, value in item.items()} for item in _rows_of(path)["cases"]}


def _rows_of(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def _numbers(where: Path, data: BoardData, found: Verified, same_maker: bool = True) -> None:
    """Every number that follows from the published tables."""
    board = data.board
    differences: list[str] = []
    further: list[str] = []
    try:
        made = recomputed.recomputed(data)
        compared = recomputed.compared(board.model_dump(), made, texts=same_maker)
        found.numbers += compared.numbers
        found.unchecked += [f"{where}: {text}" for text in recomputed.reasons(made)]
        differences, further = compared.differences, compared.further
        if same_maker:
            differences, further = [*differences, *further], []
    except (DataError, KeyError, ValueError, TypeError, IndexError, StopIteration) as error:
        differences = [f"the numbers cannot be recomputed: {_said(error)}"]
    if [row.method.name for row in sorted(board.rows, key=_order)] != [row.method.name for row in board.rows]:
        differences = [*differences, "the rows are not in the order of their ranks"]
    if further:
        found.unchecked.append(
            f"{where}: another version of radbench made {len(further)} numbers otherwise than this one does ({further[0]}); verify "
            "them with the version that made them"
        )
    now = store.scorer_version()
    if differences and board.scorer != now:
        found.unchecked.append(
            f"{where}: scored by {board.scorer}, and this is {now}, which gives other numbers "
            f"({differences[0]}); verify it with the version that made it"
        )
        return
    found.differences += [f"{where}: {text}" for text in differences]


def _order(row: Row) -> tuple[float, str]:
    return row.rank, row.method.name
