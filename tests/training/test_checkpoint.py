"""An interrupted trial continues from its last epoch, wherever its storage can be reached."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.trainings import BOTH, training_of

from tuner.data import EncodedSequences
from tuner.settings.hyperparameters import resolve
from tuner.settings.metric import Metric, MetricName
from tuner.storage import Storage
from tuner.training import checkpoint as checkpoints
from tuner.training.checkpoint import Checkpoint
from tuner.training.spec import EpochResult, TrainsByEpoch, TrialSpec

SETTINGS = {
    "vocabulary_size": 20,
    "embedding_size": 4,
    "lstm_units": 3,
    "batch_size": 16,
    "max_length": 9,
    "learning_rate": 0.02,
    "schedule": "cosine",
    "warmup": 0.2,
    "optimizer": "adamw",
    "output_dropout": 0.3,
    "embedding_dropout": 0.3,
}
SPEC = TrialSpec(7, resolve("lstm_dropout", SETTINGS), seed=5, max_epochs=4)
Begin = Callable[[Checkpoint | None], TrainsByEpoch]


@pytest.fixture(params=BOTH)
def begin(
    request: pytest.FixtureRequest, train: EncodedSequences, validation: EncodedSequences
) -> Begin:
    def _begin(checkpoint: Checkpoint | None) -> TrainsByEpoch:
        return training_of(request.param)(
            SPEC, train=train, validation=validation, n_classes=2, checkpoint=checkpoint
        )

    return _begin


def checkpoint(folder: Path, spec: TrialSpec = SPEC, data: str = "reviews") -> Checkpoint:
    return Checkpoint(Storage(str(folder)), spec, data)


def figures(epochs: list[EpochResult]) -> list[EpochResult]:
    return [replace(epoch, seconds=0) for epoch in epochs]


def test_an_interrupted_trial_ends_with_the_figures_of_one_that_is_not(
    begin: Begin, tmp_path: Path
) -> None:
    whole = list(begin(None).epochs())
    interrupted = begin(checkpoint(tmp_path)).epochs()
    first = [next(interrupted), next(interrupted)]
    again = list(begin(checkpoint(tmp_path)).epochs())
    assert again[:2] == first  # seconds too: nothing was trained twice
    assert figures(again) == figures(whole)


def test_another_trial_or_other_data_begins_at_its_first_epoch(
    begin: Begin, tmp_path: Path
) -> None:
    next(begin(checkpoint(tmp_path)).epochs())
    assert checkpoint(tmp_path).load() is not None
    assert checkpoint(tmp_path, replace(SPEC, number=99)).load() is not None  # it runs again as 99
    for spec in (replace(SPEC, seed=6), replace(SPEC, max_epochs=5), replace(SPEC, part=1)):
        assert checkpoint(tmp_path, spec).load() is None
    assert checkpoint(tmp_path, data="others").load() is None


def test_a_damaged_checkpoint_is_skipped_with_a_message(
    begin: Begin, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    next(begin(checkpoint(tmp_path)).epochs())
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:-30])
    assert next(begin(checkpoint(tmp_path)).epochs()).epoch == 1
    assert "checkpoint cannot be read" in capfd.readouterr().err


def test_another_metric_or_other_versions_begin_at_the_first_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))

    def by(metric: str | None) -> Checkpoint:
        kept = None if metric is None else Metric(name=MetricName(metric))
        return Checkpoint(storage, SPEC, "reviews", metric=kept)

    by("val_f1").save([EpochResult(1, 1.0, 0.5, 1.0, 0.5, 0.5, 1.0)], [])
    assert by("val_f1").load() is not None
    assert by("val_accuracy").load() is None  # the best epoch may be another one
    assert by(None).load() is None
    monkeypatch.setattr(checkpoints, "installed_versions", lambda: {"backend": "jax"})
    assert by("val_f1").load() is None


@pytest.mark.keras
def test_a_checkpoint_of_another_shape_is_passed_over(
    train: EncodedSequences, validation: EncodedSequences, tmp_path: Path
) -> None:
    checkpoint(tmp_path).save([EpochResult(1, 1.0, 0.5, 1.0, 0.5, 0.5, 1.0)], [np.zeros(3)])
    training = training_of("keras")(
        SPEC, train=train, validation=validation, n_classes=2, checkpoint=checkpoint(tmp_path)
    )
    assert next(training.epochs()).loss != 1.0


def test_storage_that_is_full_does_not_stop_a_trial(
    begin: Begin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full(self: Storage, name: str, content: bytes) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Storage, "write", full)
    saved = checkpoint(tmp_path)
    assert len(list(begin(saved).epochs())) == SPEC.max_epochs
    assert saved.trouble == "no space left on device"
    assert "checkpoint cannot be written: no space left" in capfd.readouterr().err


def test_a_trial_that_has_ended_leaves_no_checkpoint(begin: Begin, tmp_path: Path) -> None:
    mine = checkpoint(tmp_path)
    list(begin(mine).epochs())
    mine.remove()
    mine.remove()
    assert not list(tmp_path.iterdir())
