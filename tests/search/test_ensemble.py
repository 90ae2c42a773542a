"""The ensemble of a search: which models are kept, what is measured, and what a killed search leaves."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.ensembles import LABELS, VALIDATION_LABELS, Searched, model_of
from support.examples import examples
from support.studies import FACTS, metrics
from support.watching import Recorder

from tuner import files
from tuner.errors import RunFolderError
from tuner.kill_points import KillPoint
from tuner.run.attributes import Attribute
from tuner.run.events import EventKind
from tuner.run.records import StudyReader
from tuner.run.trial_status import TrialStatus
from tuner.search import ensemble, study
from tuner.search.kept_models import KeptModel, members_of
from tuner.search.session import SearchSession
from tuner.settings.config import make_config
from tuner.settings.objectives import Cost
from tuner.settings.space import SearchSpace
from tuner.training.spec import EpochResult


@pytest.fixture
def searched(tmp_path: Path, space: SearchSpace) -> Searched:
    return Searched(tmp_path / "x", space)


def test_the_best_trials_are_members_and_only_their_files_are_kept(
    searched: Searched,
) -> None:
    for score in (0.6, 0.9, 0.7, 0.5, 0.8):
        searched.complete(score)
    assert searched.record.members == (1, 4, 2)
    assert searched.files == set(range(5))
    for score in (0.91, 0.92, 0.93, 0.94, 0.95, 0.96):
        searched.complete(score)
    assert searched.record.members == (10, 9, 8)
    assert searched.files == {*range(5, 11), 1, 4, 2}  # three times as many as are averaged


def validation_of(wrong: range) -> NDArray[np.float32]:
    """Probabilities on the validation split that are right on all but some sequences."""
    right = np.where(np.isin(np.arange(len(VALIDATION_LABELS)), wrong), 0.1, 0.9)
    of_second = np.where(VALIDATION_LABELS == 1, right, 1 - right)
    return np.stack([1 - of_second, of_second], axis=1).astype(np.float32)


def test_members_are_those_whose_average_has_the_lowest_loss_on_the_validation_split(
    searched: Searched,
) -> None:
    wrong = {0.9: range(8), 0.8: range(8), 0.7: range(8, 17), 0.6: range(17, 27), 0.5: range(0, 27)}
    for score, rows in wrong.items():
        searched.end(score, TrialStatus.COMPLETE, validation=validation_of(rows))
    assert searched.record.members == (0, 2, 3)  # trial 1 knows nothing that trial 0 does not
    before = searched.record
    searched.open()
    assert searched.record == before
    averaged = [model_of(score, LABELS) for score in (0.9, 0.7, 0.6)]
    is_right = np.mean(averaged, axis=0).argmax(axis=1) == LABELS
    assert searched.record.averaged == pytest.approx(is_right.mean(), abs=1e-6)
    searched.complete(0.55)  # of an earlier version: its validation probabilities are not known
    assert searched.record.members == (0, 1, 2)


def test_where_each_was_validated_by_other_rows_those_of_the_lowest_loss_join_the_best() -> None:
    def kept(trial: int, val_loss: float | None, part: int | None = None) -> KeptModel:
        return KeptModel(-0.9 + trial / 100, trial, 0.9, 1, 9, None, LABELS, None, val_loss, part)

    models = [kept(trial, loss) for trial, loss in enumerate((0.5, 0.4, 0.1, 0.3, 0.2))]
    assert [each.trial for each in members_of(models, 3, None)] == [0, 2, 4]
    assert [each.trial for each in members_of(models, 9, None)] == [0, 1, 2, 3, 4]
    models[4] = kept(4, None)  # of an earlier version
    assert [each.trial for each in members_of(models, 3, None)] == [0, 1, 2]
    turns = [kept(trial, 0.5 - trial / 10, part=trial % 2) for trial in range(4)]
    assert [each.trial for each in members_of(turns, 2, None)] == [0, 3]
    assert [each.trial for each in members_of(turns, 3, None)] == [0, 2, 3]
    others = [*turns, kept(4, 0.9, part=7)]  # what only it has learned from counts first
    assert [each.trial for each in members_of(others, 3, None)] == [0, 3, 4]


def test_copies_in_the_confirmation_split_are_less_evidence(searched: Searched) -> None:
    for score in (0.6, 0.9, 0.7):
        searched.complete(score)
    alone = searched.record
    searched.clusters = np.arange(len(LABELS)) // 10
    searched.open()
    copied = searched.record
    assert (copied.averaged, copied.gain) == (alone.averaged, alone.gain)
    assert copied.high - copied.low > 1.2 * (alone.high - alone.low)
    assert copied.gain_high - copied.gain_low > 1.5 * (alone.gain_high - alone.gain_low)
    assert (alone.clusters, alone.effective) == (None, None)
    assert copied.clusters == 6
    assert copied.effective in range(2, len(LABELS) + 1)


def test_of_equal_scores_the_earlier_trial_is_a_member(searched: Searched) -> None:
    for _ in range(11):
        searched.complete(0.7)
    assert searched.record.members == (0, 1, 2)
    assert searched.files == set(range(9))
    assert searched.ensemble.model_from == 0.7


def test_a_worker_is_asked_for_a_model_only_where_its_trial_may_become_a_member(
    searched: Searched,
) -> None:
    for score in (0.6, 0.9, 0.7, 0.8, 0.75, 0.85, 0.65, 0.95):
        searched.complete(score)
        assert searched.ensemble.model_from is None
    searched.complete(0.5)
    assert searched.ensemble.model_from == 0.5
    searched.complete(0.7)
    assert searched.ensemble.model_from == 0.6


def test_a_pruned_trial_is_a_member_and_a_broken_one_is_not(searched: Searched) -> None:
    searched.complete(0.6)
    for status in (TrialStatus.FAILED, TrialStatus.DIVERGED, TrialStatus.PRUNED):
        searched.end(0.9, status)
    assert searched.record.members == (3, 0)
    assert searched.files == {3, 0}
    searched.open()
    assert searched.record.members == (3, 0)


def run_epochs(searched: Searched, *scores: float, sent: tuple[int, ...]) -> optuna.Trial:
    """A trial that has trained these epochs; after some the worker sent the model."""
    trial = searched.study.ask()
    searched.study.space.suggest(trial)
    searched.study.record_facts(trial, FACTS)
    for epoch, score in enumerate(scores, start=1):
        searched.study.report(trial, epoch, metrics(score))
        if epoch in sent:
            searched.study.keep_model(trial, searched.model(score, epoch=epoch))
    return trial


def test_the_model_of_a_better_epoch_takes_the_place_of_an_earlier_one(searched: Searched) -> None:
    trial = run_epochs(searched, 0.5, 0.7, 0.6, sent=(1, 2))
    assert searched.files == {0}
    searched.study.finish(trial, TrialStatus.PRUNED)
    assert searched.scores == [0.7]
    is_right = model_of(0.7, LABELS).argmax(axis=1) == LABELS
    assert searched.record.single == pytest.approx(is_right.mean(), abs=1e-6)


def test_a_model_of_another_epoch_than_the_best_is_no_member(searched: Searched) -> None:
    trial = run_epochs(searched, 0.7, 0.8, sent=(1,))
    searched.study.finish(trial, TrialStatus.PRUNED)
    assert searched.files == set()
    assert StudyReader(searched.study.study).ensemble is None


def test_a_trial_whose_model_was_not_sent_is_left_out_before_and_after_a_resume(
    searched: Searched,
) -> None:
    searched.complete(0.6)
    never = run_epochs(searched, 0.9, sent=())
    searched.study.finish(never, TrialStatus.COMPLETE)
    other = run_epochs(searched, 0.7, 0.8, sent=(1,))
    searched.study.finish(other, TrialStatus.PRUNED)
    before = searched.record
    assert (before.members, before.left_out) == ((0,), (1, 2))
    searched.open()
    assert searched.record == before
    for _ in range(3):
        searched.complete(0.95)
    worse = run_epochs(searched, 0.5, sent=())
    searched.study.finish(worse, TrialStatus.COMPLETE)
    assert (searched.record.members, searched.record.left_out) == ((3, 4, 5), ())


def test_a_running_trials_model_goes_when_others_have_become_better(searched: Searched) -> None:
    trial = run_epochs(searched, 0.7, sent=(1,))
    for _ in range(9):
        searched.complete(0.9)
    searched.study.report(trial, 2, metrics(0.75))
    searched.study.keep_model(trial, searched.model(0.75, epoch=2))
    assert searched.files == set(range(1, 10))
    last = run_epochs(searched, 0.95, sent=(1,))
    for _ in range(9):
        searched.complete(0.99)
    searched.study.finish(last, TrialStatus.PRUNED)  # it was among the best when it was sent
    assert searched.record.members == (11, 12, 13)
    assert searched.files == set(range(11, 20))


def test_a_trial_that_runs_again_leaves_no_model_of_its_first_try(searched: Searched) -> None:
    trial = run_epochs(searched, 0.7, sent=(1,))
    assert searched.files == {0}
    searched.study.requeue_lost_trial(trial, "died", deaths=1)
    assert searched.files == set()


def test_figures_are_those_of_the_mean_of_the_probabilities(searched: Searched) -> None:
    models = [searched.complete(score) for score in (0.7, 0.9, 0.8)]
    best = models[1]
    is_right = np.mean(models, axis=0).argmax(axis=1) == LABELS
    alone = best.argmax(axis=1) == LABELS
    record = searched.record
    assert record.sequences == len(LABELS)
    assert record.averaged == pytest.approx(is_right.mean(), abs=1e-6)
    assert record.single == pytest.approx(alone.mean(), abs=1e-6)
    assert record.gain == pytest.approx(is_right.mean() - alone.mean(), abs=2e-6)
    assert record.gain_low < record.gain < record.gain_high
    assert record.weights == 3 * 123
    assert record.seconds_per_text == pytest.approx(0.003)


def test_a_lower_loss_is_a_gain(tmp_path: Path, space: SearchSpace) -> None:
    by_loss = {**space.to_mapping(), "metric": {"name": "val_loss", "mode": "min"}}
    searched = Searched(tmp_path / "x", SearchSpace.from_mapping(by_loss, "space"))
    for score in (0.6, 0.9, 0.8):
        searched.complete(score)
    record = searched.record
    assert record.members == (1, 2, 0)
    assert record.gain == pytest.approx(record.single - record.averaged, abs=2e-6)


def test_with_two_objectives_the_metric_alone_chooses(tmp_path: Path, space: SearchSpace) -> None:
    searched = Searched(tmp_path / "x", space, cost=Cost.WEIGHTS)
    for score in (0.6, 0.9, 0.7, 0.8):
        searched.complete(score)
    assert searched.record.members == (1, 3, 2)


def test_a_missing_model_is_left_out_and_named(searched: Searched) -> None:
    for score in (0.6, 0.9, 0.7, 0.8):
        searched.complete(score)
    searched.folder.trial_model(1).unlink()
    searched.folder.trial_model(3).write_bytes(b"half of it")
    searched.open()
    assert searched.record.members == (2, 0)
    assert searched.record.left_out == (1, 3)
    searched.complete(0.5)
    assert searched.record.members == (2, 0, 4)
    assert searched.record.left_out == (1, 3)


def test_a_run_whose_trials_kept_no_weights_keeps_those_to_come(
    tmp_path: Path, space: SearchSpace
) -> None:
    searched = Searched(tmp_path / "x", space)
    searched.study.ensemble = ensemble.NoEnsemble()  # as in an earlier version
    searched.complete(0.9)
    assert StudyReader(searched.study.study).ensemble is None
    searched.open()
    searched.complete(0.7)
    assert searched.record.members == (1,)
    assert searched.record.left_out == (0,)
    assert "without trial 0, whose weights are missing" in searched.record.cost_text


def test_a_model_of_other_data_is_left_out(searched: Searched) -> None:
    searched.complete(0.9)
    searched.open(labels=LABELS[:-1])
    searched.complete(0.7, labels=LABELS[:-1])
    assert searched.record.members == (1,)


def test_a_model_whose_probabilities_are_no_numbers_is_left_out(searched: Searched) -> None:
    searched.complete(0.9, probabilities=np.full((len(LABELS), 2), np.nan, np.float32))
    searched.complete(0.7)
    assert searched.record.members == (1,)


def test_a_smaller_ensemble_removes_files_and_a_larger_one_cannot_bring_them_back(
    searched: Searched,
) -> None:
    for score in (0.6, 0.9, 0.7, 0.8):
        searched.complete(score)
    searched.open(size=1)
    assert (searched.record.members, searched.files) == ((1,), {1, 2, 3})
    searched.open(size=4)
    assert searched.record.members == (1, 3, 2)
    assert searched.record.left_out == (0,)


def test_the_end_of_a_trial_shows_the_ensemble_with_it(tmp_path: Path, space: SearchSpace) -> None:
    searched = Searched(tmp_path / "x", space)
    recorder = Recorder()
    config = make_config({"space": space})
    session = SearchSession(searched.study, config, workers=lambda: 1, listener=recorder)
    number = session.start_trial().number
    session.end_epoch(number, EpochResult(1, 0.5, 0.7, 0.5, 0.7, 0.7, seconds=1.0))
    assert session.model_from is None
    session.keep_model(number, searched.model(0.7))
    assert searched.files == {number}  # before the trial is told
    session.end_trial(number, TrialStatus.COMPLETE)
    assert recorder.events[-1].kind is EventKind.TRIAL_ENDED
    assert recorder.state.ensemble == searched.record


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.slow
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ends=st.lists(
        st.tuples(
            st.sampled_from((0.5, 0.6, 0.7, 0.8, 0.9)),
            st.sampled_from((TrialStatus.COMPLETE, TrialStatus.PRUNED)),
            st.sampled_from((True, True, True, False)),  # whether its model is sent
            st.sampled_from((4, 8, 12, 16)),  # the first validation row that it is wrong on
        ),
        min_size=1,
        max_size=14,
    ),
    kills=st.lists(
        st.tuples(
            st.sampled_from(
                (
                    KillPoint.FILE_WRITTEN,
                    KillPoint.MODEL_KEPT,
                    KillPoint.TRIAL_TOLD,
                    KillPoint.ENSEMBLE_RECORDED,
                )
            ),
            st.integers(1, 4),
        ),
        max_size=4,
    ),
)
def test_a_search_that_is_killed_anywhere_ends_with_the_same_ensemble(
    tmp_path_factory: pytest.TempPathFactory,
    space: SearchSpace,
    ends: list[tuple[float, TrialStatus, bool, int]],
    kills: list[tuple[KillPoint, int]],
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    undisturbed = Searched(folder / "undisturbed", space)
    for score, status, is_sent, first in ends:
        validation = validation_of(range(first, first + 9))
        undisturbed.end(score, status, is_sent=is_sent, validation=validation)
    searched = Searched(folder / "killed", space)
    left = list(kills)

    def kill_point(point: KillPoint) -> None:
        if left and left[0][0] is point:
            left[0] = (point, left[0][1] - 1)
            if not left[0][1]:
                left.pop(0)
                raise Killed

    with pytest.MonkeyPatch.context() as patch:
        for module in (ensemble, study, files):
            patch.setattr(module, "kill_point", kill_point)
        is_open = True
        for number, (score, status, is_sent, first) in enumerate(ends):
            validation = validation_of(range(first, first + 9))
            while searched.n_ended <= number:
                try:
                    if not is_open:
                        searched.open()
                    is_open = True
                    if searched.n_ended <= number:
                        searched.end(score, status, is_sent=is_sent, validation=validation)
                except Killed:
                    is_open = False
    searched.open()
    assert figures(searched) == figures(undisturbed)
    record = StudyReader(searched.study.study).ensemble
    if record is not None:
        assert set(record.members) <= searched.files
        assert len(searched.files) == len(undisturbed.files)


def figures(searched: Searched) -> dict[str, object]:
    """The record, with the trials' scores in place of their numbers, which kills change; empty without any model."""
    reader = StudyReader(searched.study.study)
    if reader.ensemble is None:
        return {}
    scores = [record.score for record in reader.records()]
    numbers = {name: getattr(reader.ensemble, name) for name in ("members", "left_out")}
    by_score = {name: [scores[each] for each in of] for name, of in numbers.items()}
    return {**reader.ensemble.model_dump(), **by_score}


def test_what_a_killed_search_left_is_removed(searched: Searched) -> None:
    searched.complete(0.9)
    searched.folder.trial_model(7).write_bytes(b"of a trial that was not told")
    (searched.folder.trial_models / ".trial-8.npz.1a2b.tmp").write_bytes(b"half")
    searched.open()
    assert searched.files == {0}


def test_a_damaged_record_is_refused_in_one_line(searched: Searched) -> None:
    searched.complete(0.9)
    searched.study.study.set_user_attr(Attribute.ENSEMBLE, {"members": "all"})
    with pytest.raises(RunFolderError, match=r"^study.journal: damaged \(no ensemble can be read"):
        assert searched.record


@pytest.mark.parametrize(("given_size", "size"), [("off", 0), (1, 1), ("7", 7), (None, 5)])
def test_the_size_of_the_ensemble_is_a_setting(
    space: SearchSpace, given_size: Any, size: int
) -> None:
    config = make_config({"space": space, "ensemble": given_size})
    assert config.ensemble == size
    assert make_config({**config.model_dump(), "space": space}).ensemble == size


def test_two_objectives_keep_no_models_unless_asked(space: SearchSpace) -> None:
    both = {"space": space, "objectives": "val_accuracy,weights"}
    assert make_config(both).ensemble == 0
    assert make_config({**both, "ensemble": 3}).ensemble == 3
