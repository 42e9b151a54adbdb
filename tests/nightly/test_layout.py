"""A night over a store of the first layout brings it to the present one and notes it; over a later one it does not begin."""

from benchmark import store
from benchmark.ledger import Ledger
from benchmark.nightly import gather
from benchmark.nightly.plan import plan
from benchmark.store.check import check
from tests.nightly.scripted import Place


def test_an_older_layout_is_migrated_and_nothing_is_run_again(settled: Place) -> None:
    root = settled.work.store
    for path in [*root.glob("*/*/files.json"), *root.glob("*/*/key.json"), root / "store.json"]:
        path.unlink()
    assert plan(gather.gather(settled.around(), settled.day)).empty
    report = settled.night()
    assert report.exit_code == 0, (report.person, report.notes)
    assert report.planned == {}
    assert store.version_of(root) == store.VERSION and check(root).findings == ()
    (noted,) = [e for e in Ledger(settled.work.root / "ledger.jsonl").entries() if e.kind == "store_changed"]
    assert noted.facts == {"what": "migrate", "schema_from": 1, "schema_to": 2}
