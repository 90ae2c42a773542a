"""The progress of a search: what a new session reads of an earlier one, and the end of a trial."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.run_files import record
from support.studies import open_study, run_trial

from tuner.run import progress
from tuner.run.progress import StudyProgress, age_of
from tuner.run.records import StudyReader, front_trials
from tuner.settings.config import make_config
from tuner.settings.metric import Metric
from tuner.settings.objectives import Cost, make_objectives
from tuner.settings.space import SearchSpace


def test_a_new_session_computes_the_front_of_an_earlier_one_once(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = open_study(tmp_path / "study.journal", space, cost=Cost.WEIGHTS)
    for accuracy, weights in ((0.7, 10), (0.8, 30), (0.6, 20), (0.5, 5)):
        run_trial(study, accuracy, weights=weights)
    sizes = []

    def counted(records: list[object], *rest: object) -> object:
        sizes.append(len(records))
        return on_front(records, *rest)

    on_front = progress.on_front
    monkeypatch.setattr(progress, "on_front", counted)
    config = make_config({"space": space, "objectives": "val_accuracy,weights"})
    read = StudyProgress(StudyReader(study.study), config)
    list(read.start(study.study.get_trials(deepcopy=False)))
    assert sizes == [4]
    assert [each.number for each in read.state.front] == [1, 0, 3]
    assert (read.finished, read.slowest_epoch_s) == (4, 2.0)
    assert read.state.best is not None
    assert read.state.best.number == 1


def test_the_trials_of_a_front_are_not_ranked_again() -> None:
    objectives = make_objectives(Metric(), Cost.WEIGHTS)
    leaders = [record(0, score=0.5, weights=1), record(1, score=0.9, weights=7)]
    assert [each.number for each in front_trials(leaders, objectives)] == [0, 1]


@pytest.mark.usefixtures("central_european_time")
@pytest.mark.parametrize("hour", [0, 1])  # both are 2:30 on this machine's clock
def test_a_trial_that_starts_in_the_repeated_hour_of_the_clock_change_is_not_an_hour_old(
    hour: int,
) -> None:
    started = datetime(2026, 10, 25, 2, 30)
    now = datetime(2026, 10, 25, hour, 30, 5, tzinfo=UTC).timestamp()
    assert age_of(started, now) == 5


def test_a_trial_of_a_clock_that_is_ahead_has_just_begun() -> None:
    assert age_of(datetime(2026, 10, 25, 12, 0, tzinfo=UTC), 0.0) == 0
