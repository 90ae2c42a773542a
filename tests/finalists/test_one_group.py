"""A confirmation whose rows are all of one group: rows count, and that is told wherever its intervals are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.grouped_data import write_groups
from support.searches import make

from tuner.data import load_dataset
from tuner.execution.search import run_search
from tuner.finalists.confirmation import run_confirmation
from tuner.finalists.ranking import read_finalists
from tuner.finalists.request import Request, confirmation_config
from tuner.report.markdown import markdown
from tuner.report.reading import read_runs
from tuner.report.summary import in_words
from tuner.run import Run
from tuner.run.events import SilentListener
from tuner.settings.space import SearchSpace
from tuner.terminal.finalists import planned, print_confirmation
from tuner.training.variance import seed_part

NOTE = (
    "All confirmation rows are of one group: their intervals hold for further rows of this group, "
    "not for other groups."
)


@pytest.mark.slow
@pytest.mark.parametrize(("customers", "clusters"), [(1, 1), (9, 9)])
def test_it_is_told_on_the_screen_and_in_the_report(
    without_ray: None,
    space: SearchSpace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    customers: int,
    clusters: int,
) -> None:
    data = {
        "source": str(write_groups(tmp_path, confirmation=customers)),
        "group_column": "customer",
    }
    run = run_search(make(space, tmp_path, tmp_path, data=data, trials=4)).run
    request = Request(top=2, seeds=2)
    plan = str(planned(Run(run.folder), request))
    assert (f"on {10 * customers} sequences of one group:" in plan) is (clusters == 1)
    config = confirmation_config(run.files, {})
    outcome = run_confirmation(Run(run.folder), request, config, SilentListener())
    capsys.readouterr()
    assert print_confirmation(outcome, config.data) == 0
    printed = capsys.readouterr().out.splitlines()
    (reading,) = read_runs([str(run.folder)])
    times = int(clusters == 1)
    assert printed.count(NOTE) == in_words(reading).count(NOTE) == times
    assert markdown([reading]).count(NOTE) == times
    assert set(pd.read_csv(run.files.finalists)["clusters"]) == {clusters}
    first = read_finalists(Run(run.folder), load_dataset(config.data))[0]
    rows = first.scores.shape[1]
    assert rows == (10 if clusters == 1 else 9)
    # The search's score is of as many rows as sampled it, whatever the confirmation's are.
    of_single = first.scores.var(axis=1, ddof=1).mean()
    of_average = first.scores.mean(axis=0).var(ddof=1)
    sampled = of_average / rows + of_single / (90 if clusters == 1 else 9)
    error = np.sqrt(sampled + seed_part(first.seeds, 2).variance)
    assert first.gap.whole.error == pytest.approx(error)
