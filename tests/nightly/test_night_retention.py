"""Predictions that the retention rule took away: nothing happens until a later scorer wants them; then they are made anew."""

from benchmark.nightly import gather
from benchmark.nightly.plan import plan
from benchmark.nightly.reasons import REMOVED
from benchmark.store.check import check
from benchmark.store.retention import Retention, collect
from benchmark.store.retention import plan as collection
from tests.nightly.scripted import Place


def test_a_metric_change_runs_again_what_has_no_predictions(settled: Place) -> None:
    root, rule = settled.work.store, Retention(keep_days=0, keep_placed=False)
    done = collect(root, collection(root, rule), rule)
    assert len(done.removals) == 2 and check(root).findings == ()
    assert plan(gather.gather(settled.around(), settled.day)).empty
    settled.edit('[[metrics]]\nname = "mae"', '[[metrics]]\nname = "mae"\n\n[[metrics]]\nid = "again"\nname = "mae"')
    due = plan(gather.gather(settled.around(), settled.day))
    assert {run.why for run in due.runs} == {REMOVED} and len(due.runs) == len(due.scores) == 2
    assert {score.waits_for for score in due.scores} == {(run.key,) for run in due.runs}
    report = settled.night()
    assert report.exit_code == 0, (report.person, report.failed, report.notes)
    assert plan(gather.gather(settled.around(), settled.day)).empty and check(root).findings == ()
