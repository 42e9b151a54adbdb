"""The edition is an RO-Crate 1.1 that others' software opens, with true hashes and sizes, and every identifier resolved."""

import hashlib
import json
from pathlib import Path
from typing import Any

import boards
import honest
import pytest
from rocrate.rocrate import ROCrate

from leaderboard import crate, site


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = honest.standard(tmp_path_factory.mktemp("crate"))
    published = place.publish("2026-11-21", "https://example.org/board")
    return place.site / "editions" / published.edition


def entities(edition: Path) -> dict[str, dict[str, Any]]:
    graph = json.loads((edition / crate.NAME).read_text())["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph), "each identifier once"
    return found


def test_another_library_opens_it(edition: Path) -> None:
    opened = ROCrate(edition)
    root = opened.root_dataset
    assert root["name"].startswith("radbench leaderboard") and edition.name in root["name"]
    assert str(root["datePublished"])[:10] == "2026-11-21"
    assert root["license"].id == "https://spdx.org/licenses/CC-BY-4.0"
    assert root["publisher"]["name"] == "The radbench developers"
    files = {entity.id for entity in opened.data_entities}
    assert {"scores.parquet", "CITATION.cff", "tasks/mri_to_ct/", "tasks/mri_to_ct/board.csv"} <= files


def test_what_the_specification_asks_of_the_root(edition: Path) -> None:
    found = entities(edition)
    descriptor = found["ro-crate-metadata.json"]
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"} and descriptor["about"] == {"@id": "./"}
    root = found["./"]
    assert all(root[key] for key in ("name", "description", "datePublished", "license", "hasPart", "identifier"))
    assert root["url"] == f"https://example.org/board/editions/{edition.name}/index.html"


def test_every_reference_leads_to_an_entity(edition: Path) -> None:
    found = entities(edition)

    def referred(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [value["@id"]] if set(value) == {"@id"} else [id for v in value.values() for id in referred(v)]
        return [id for v in value for id in referred(v)] if isinstance(value, list) else []

    for entity in found.values():
        for id in referred([v for k, v in entity.items() if k != "@id"]):
            assert id in found or id == "https://w3id.org/ro/crate/1.1", id


def test_files_are_there_with_their_size_and_hash(edition: Path) -> None:
    files = [e for e in entities(edition).values() if e["@type"] == "File"]
    assert len(files) > 10
    for entity in files:
        data = (edition / entity["@id"]).read_bytes()
        assert entity["contentSize"] == str(len(data)) and entity["sha256"] == hashlib.sha256(data).hexdigest()
        assert entity["encodingFormat"]
    for entity in entities(edition).values():
        if entity["@id"].startswith("tasks/") and entity["@type"] == "Dataset":
            assert entity["@id"].endswith("/") and (edition / entity["@id"]).is_dir()
    record = json.loads((edition / "edition.json").read_text())
    assert record["files"][crate.NAME] == hashlib.sha256((edition / crate.NAME).read_bytes()).hexdigest()


def test_real_data_keep_their_licence_and_citation(tmp_path: Path) -> None:
    published = site.publish(tmp_path / "s", [boards.slab(canaries=0)], date="2026-11-21")
    found = entities(tmp_path / "s/editions" / published.edition)
    data = found["#data-denoising"]
    assert data["license"] == "see the sources" and data["citation"] == ["A. Author, 2015"]
    assert found["tasks/denoising/"]["isBasedOn"] == {"@id": "#data-denoising"}
    assert "url" not in found["./"] and found["./"]["identifier"] == f"editions/{published.edition}/index.html"
