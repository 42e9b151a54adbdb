"""Under embargo nothing in the site tells who it is, down to the bytes of pictures and tables; afterwards the address is the same."""

import io
import json
import re
from datetime import date
from pathlib import Path

import boards
import honest
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.contract import Case
from benchmark.errors import DataError
from benchmark.publishing import publish_boards
from leaderboard import embargo, site
from leaderboard.records import CanaryCase

UNTIL = date(2027, 1, 15)
TELLING = ("zaphod", "network of", "run-zaphodrun")
"""What would give the submission away, in lower case: team, name, title, digest, run, score and what its error said."""


def every_byte(root: Path) -> dict[str, bytes]:
    """Content of every file; of Parquet and pictures also what is packed in them."""
    found = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data += json.dumps(pq.read_table(path).to_pylist()).encode()
            data += str(pq.read_metadata(path).metadata).encode()
        if path.suffix in (".png", ".webp"):
            data += repr(Image.open(io.BytesIO(data)).info).encode()
        found[path.relative_to(root).as_posix()] = data
    return found


def tells(root: Path) -> list[str]:
    return [
        f"{path}: {word}"
        for path, data in every_byte(root).items()
        for word in TELLING
        if word in path.lower() or word.encode() in data.lower()
    ]


def with_pictures(place: honest.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary case of the hand-made board, predicted by everybody in the place."""
    from benchmark import publishing

    template = boards.heads(canaries=1, shape=(6, 10, 10)).canary[0]
    real = publishing.board_data

    def board_data(task, edition, scored, root):  # type: ignore[no-untyped-def]
        data = real(task, edition, scored, root)
        names = [run.method.name for run, _ in scored]
        canary = CanaryCase(
            Case(id="canary-1", split="canary"), template.input, template.reference, template.mask,
            dict.fromkeys(names, template.predictions["unet"]),
            {name: [s.model_copy(update={"case": "canary-1"}) for s in template.scores["unet"]] for name in names},
        )  # fmt: skip
        return boards.replace(data, canary=[canary])

    monkeypatch.setattr(publishing, "board_data", board_data)


def test_nothing_tells_before_and_the_address_stays_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = honest.hidden(tmp_path, UNTIL)
    with_pictures(place, monkeypatch)
    first = place.publish("2026-11-21")
    name = embargo.pseudonym("zaphod-net", embargo.load_key(place.store))
    page = f"tasks/mri_to_ct/submissions/{name}/index.html"
    assert (place.site / page).is_file() and (place.site / "editions" / first.edition / page).is_file()
    assert any(path.endswith(".png") and name in path for path in every_byte(place.site)), "its picture is there"
    assert tells(place.site) == []
    assert "Anonymous" in (place.site / page).read_text()
    # The search itself can find: the store holds the name.
    assert tells(place.store)

    # The last day before is still before; publishing again changes nothing.
    assert not place.publish("2027-01-14").changed
    assert tells(place.site) == []

    second = place.publish("2027-01-15")
    assert second.changed and second.edition != first.edition
    assert "Network of Zaphod-Lab" in (place.site / page).read_text()
    assert not list((place.site / "editions" / second.edition).rglob("*zaphod*")), "the address keeps the pseudonym"
    cite = (place.site / "editions" / second.edition / page).with_name("cite.bib").read_text()
    assert "author = {{Zaphod-Lab}}" in cite
    # The old edition stays as it was, and the list of editions says what happened.
    assert tells(place.site / "editions" / first.edition) == []
    change = json.loads((place.site / "editions" / second.edition / "changes.json").read_text())
    assert [(r["submission"], r["kind"]) for r in change["boards"][0]["rows"]] == [(name, "revealed")]
    assert "no longer anonymous" in (place.site / "editions/index.html").read_text()


def test_ties_notes_and_agreement_are_veiled_too(tmp_path: Path) -> None:
    place = honest.hidden(tmp_path, UNTIL)
    place.add(honest.method("twin", family="diffusion"), -0.5, seed=11)
    place.publish()
    edition = next((place.site / "editions").glob("2*"))
    board = json.loads((edition / "tasks/mri_to_ct/board.json").read_text())
    anonymous = next(row for row in board["rows"] if row["method"]["anonymous"])
    assert anonymous["tied_with"], "it is tied, so its name would have stood in another row"
    assert any(anonymous["method"]["name"] in row["tied_with"] for row in board["rows"])
    assert {anonymous["run"][:9], anonymous["digest"][:9], anonymous["score"][:9]} == {"withheld-"}
    assert anonymous["method"]["embargo"] == "2027-01-15"
    reasons = {
        row["reason"]
        for row in json.loads((edition / "tasks/mri_to_ct/cases.json").read_text())["rows"]
        if row["reason"]
    }
    assert "crashed: The model ended with an error." in reasons
    assert tells(place.site) == []


def test_the_pseudonym_needs_the_key(tmp_path: Path) -> None:
    key = embargo.load_key(tmp_path / "a")
    assert embargo.load_key(tmp_path / "a") == key, "it stays"
    other = embargo.load_key(tmp_path / "b")
    assert len(key) == 32 and key != other
    assert embargo.pseudonym("x", key) == embargo.pseudonym("x", key) != embargo.pseudonym("x", other)
    assert re.fullmatch("anon-[0-9a-f]{12}", embargo.pseudonym("x", key))
    assert len({embargo.pseudonym(f"team-{i}", key) for i in range(2000)}) == 2000
    assert (tmp_path / "a" / embargo.KEY_FILE).stat().st_mode & 0o077 == 0, "for its owner only"
    assert [p.name for p in (tmp_path / "a").iterdir()] == [embargo.KEY_FILE]
    (tmp_path / "a" / embargo.KEY_FILE).write_text("short")
    with pytest.raises(DataError):
        embargo.load_key(tmp_path / "a")


def test_the_key_is_made_only_where_it_is_needed_and_never_published(tmp_path: Path) -> None:
    place = honest.standard(tmp_path / "open")
    place.publish()
    assert not (place.store / embargo.KEY_FILE).exists()
    place = honest.hidden(tmp_path / "hidden", UNTIL)
    place.publish()
    key = (place.store / embargo.KEY_FILE).read_bytes().strip()
    assert all(key not in data for data in every_byte(place.site).values())


def test_the_site_refuses_a_named_row_under_embargo(tmp_path: Path) -> None:
    data = boards.heads(canaries=0)
    row = data.board.rows[0]
    named = row.model_copy(update={"method": row.method.model_copy(update={"embargo": UNTIL})})
    board = data.board.model_copy(update={"rows": (named, *data.board.rows[1:])})
    with pytest.raises(DataError) as caught:
        site.publish(tmp_path / "site", [boards.replace(data, board=board)], date="2026-11-21")
    assert "unet" not in str(caught.value) and "U-Net" not in str(caught.value)
    assert not (tmp_path / "site").exists()
    site.publish(tmp_path / "site", [boards.replace(data, board=board)], date="2027-01-15")


def test_an_embargo_that_has_ended_before_the_first_publication_hides_nothing(tmp_path: Path) -> None:
    place = honest.hidden(tmp_path, date(2026, 1, 1))
    place.publish("2026-11-21")
    pages = (place.site / "tasks/mri_to_ct/index.html").read_text()
    assert "Network of Zaphod-Lab" in pages and "Anonymous" not in pages


def test_a_bad_date_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    place = honest.hidden(tmp_path, UNTIL)
    with pytest.raises(Exception, match="YYYY-MM-DD"):
        publish_boards([(place.task, place.edition, list(place.scored.values()))], place.store, place.site, "tomorrow")
    assert not place.site.exists()


def test_nobody_calls_themselves_anonymous_or_revealed(tmp_path: Path) -> None:
    """Those two are for publishing to say; a manifest that sets them is not believed, with or without an embargo."""
    place = honest.standard(tmp_path)
    place.add(honest.method("sly", anonymous=True, submitted_as="alpha"), 1.0, seed=8)
    place.add(honest.method("zaphod-net", anonymous=True, team=honest.SECRET, embargo=UNTIL), 1.5, seed=9)
    place.publish()
    assert tells(place.site) == []
    board = json.loads(next((place.site / "editions").glob("2*/tasks/mri_to_ct/board.json")).read_text())
    methods = {row["method"]["name"]: row["method"] for row in board["rows"]}
    assert (methods["sly"]["anonymous"], methods["sly"]["submitted_as"]) == (False, "")
    assert [name for name, m in methods.items() if m["anonymous"]] == [
        embargo.pseudonym("zaphod-net", embargo.load_key(place.store))
    ]
