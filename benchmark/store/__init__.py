"""Where runs and scores lie, and the keys that say whether work is already done.

    <store>/store.json                                version of the layout, see `schema`
    <store>/runs/<inference key>/run.json             the record; predictions/<case>/…, logs/
    <store>/scores/<scoring key>/score.json           the record; cases.csv, parts.pickle (tasks with set-level metrics)
    <store>/…/<key>/files.json, key.json              hashes of the folder's files, what its key is the hash of, see `manifest`
    <store>/submissions/<task>/<edition>/<name>.json  which run stands for which submission, see `placements`
    <store>/reproductions/<inference key>.json        what came out when the run was last run again
    <store>/pins.json                                 what the retention rule must leave alone, see `retention`

A folder of the store is written beside and renamed in place, and never changed after. A run that was interrupted lies in
`runs/.<key>.partial` with one small record a case, and goes on where it stopped.
"""

from __future__ import annotations

from benchmark.store.keys import (
    KEY_LENGTH,
    canonical,
    digest,
    digest_of_text,
    inference_key,
    inference_payload,
    scorer_version,
    scoring_key,
    scoring_payload,
)
from benchmark.store.manifest import predictions_removed, seal_run, sealed_run
from benchmark.store.placements import Placement, load_placement, load_placements, placement_file, save_placement
from benchmark.store.records import (
    ScoreRecord,
    load_case_scores,
    load_parts,
    load_run,
    load_score,
    run_folder,
    save_score,
    score_folder,
)
from benchmark.store.reproductions import load_reproduction, save_reproduction
from benchmark.store.schema import VERSION, open_store, version_of
from benchmark.store.tables import COLUMNS, scores_from_csv, scores_to_csv

__all__ = [
    "COLUMNS",
    "KEY_LENGTH",
    "VERSION",
    "Placement",
    "ScoreRecord",
    "canonical",
    "digest",
    "digest_of_text",
    "inference_key",
    "inference_payload",
    "load_case_scores",
    "load_parts",
    "load_placement",
    "load_placements",
    "load_reproduction",
    "load_run",
    "load_score",
    "open_store",
    "placement_file",
    "predictions_removed",
    "run_folder",
    "save_placement",
    "save_reproduction",
    "save_score",
    "score_folder",
    "scorer_version",
    "scores_from_csv",
    "scores_to_csv",
    "scoring_key",
    "scoring_payload",
    "seal_run",
    "sealed_run",
    "version_of",
]
