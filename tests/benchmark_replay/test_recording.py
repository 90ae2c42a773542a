"""A recording goes on where it was ended, and its table holds what the trainings said."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from benchmarks.replay.recorded_reference import load_reference
from benchmarks.replay.recording import (
    Job,
    Measured,
    Plan,
    labels_of,
    load_rows,
    load_sequences,
    missing,
    open_folder,
    pack,
    record_one,
    record_reference,
)
from benchmarks.replay.table import load_table
from support.searches import toy_space

from tuner.errors import TrialDiverged
from tuner.training.toy import ToyTraining

LABELS = np.array([0, 1] * 50, np.int32)


def plan(**changes) -> Plan:
    given = {"configurations": 3, "seeds": 2, "n_learn": 10, "n_pool": 100, **changes}
    return Plan(name="toy", space=toy_space(), source="texts.csv", tokens="words", **given)


def toy(job: Job) -> Measured:
    """Measured after each of nine epochs, and once inside the first."""
    epochs = list(ToyTraining(job.spec(9)).epochs())
    accuracies = [epochs[0].val_accuracy, *(each.val_accuracy for each in epochs)]
    rng = np.random.default_rng(job.spec(9).seed)
    is_right = rng.random((10, len(LABELS))) < np.array(accuracies)[:, None]
    return Measured(
        steps=9,
        weights=5,
        building_s=1.0,
        training_s=[0.3, *range(1, 10)],
        evaluation_s=[0.1] * 10,
        loss=[1 - accuracy for accuracy in accuracies],
        answers=np.where(is_right, LABELS, 1 - LABELS).astype(np.float16),
    )


def test_points_hold_a_look_inside_the_first_epoch_and_every_epochs_end() -> None:
    assert plan().points == (Fraction(1, 27), *(Fraction(n, 9) for n in range(1, 10)))
    five = Plan("x", toy_space().model_copy(update={"max_epochs": 5}), "x", "words", 1, 1, 1, 1)
    assert {Fraction(n, 5) for n in range(1, 6)} < set(five.points)


def test_recording_goes_on_where_it_was_ended(tmp_path: Path) -> None:
    open_folder(tmp_path, plan())
    trained: list[str] = []

    def train(job: Job) -> Measured:
        if len(trained) == 4:
            raise KeyboardInterrupt
        trained.append(job.key)
        return toy(job)

    jobs = missing(tmp_path, plan())
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        [record_one(tmp_path, job, train) for job in jobs]
    left = missing(tmp_path, plan())
    pack(tmp_path, plan(), tmp_path / "part.npz", LABELS)
    for job in left:
        record_one(tmp_path, job, toy)
    line = pack(tmp_path, plan(), tmp_path / "whole.npz", LABELS)

    assert trained == ["0000-0", "0000-1", "0001-0", "0001-1"]
    assert [job.key for job in left] == ["0002-0", "0002-1"]
    assert missing(tmp_path, plan()) == []
    assert [job.key for job in missing(tmp_path, plan(configurations=4))] == ["0003-0", "0003-1"]
    assert "6 trainings" in line
    part, whole = load_table(tmp_path / "part.npz"), load_table(tmp_path / "whole.npz")
    assert part.right.shape == (2, 2, 10, 100)
    assert whole.right.shape == (3, 2, 10, 100)
    np.testing.assert_array_equal(whole.right[:2], part.right)
    job = next(plan().jobs())
    assert whole.parameters[0] == job.parameters
    np.testing.assert_array_equal(whole.probabilities[0, 0], toy(job).answers)


def test_training_that_diverges_is_recorded_and_left_out_of_the_table(tmp_path: Path) -> None:
    def train(job: Job) -> Measured:
        if job.key == "0001-0":
            raise TrialDiverged("loss became nan")
        return toy(job)

    for job in missing(tmp_path, plan()):
        record_one(tmp_path, job, train)
    line = pack(tmp_path, plan(), tmp_path / "t.npz", LABELS)

    assert missing(tmp_path, plan()) == []
    assert "5 trainings" in line
    assert "1 failed" in line
    assert load_table(tmp_path / "t.npz").n_configurations == 2


def test_small_table_has_the_first_rows_at_epochs_ends_in_bytes(tmp_path: Path) -> None:
    for job in missing(tmp_path, plan()):
        record_one(tmp_path, job, toy)
    pack(tmp_path, plan(), tmp_path / "whole.npz", LABELS)
    pack(tmp_path, plan(), tmp_path / "small.npz", LABELS[:40], small=True)

    whole, small = load_table(tmp_path / "whole.npz"), load_table(tmp_path / "small.npz")
    ends = list(whole.epoch_points)
    assert small.epoch_points == tuple(range(9))
    np.testing.assert_array_equal(small.right, whole.right[:, :, ends, :40])
    np.testing.assert_allclose(small.probabilities, whole.probabilities[:, :, ends, :40], atol=1e-5)
    for name in ("training_s", "evaluation_s", "loss"):
        np.testing.assert_array_equal(getattr(small, name), getattr(whole, name)[..., ends])
    with np.load(tmp_path / "small.npz") as saved:
        assert saved["0000-0"].dtype == np.uint8


def test_reference_answers_the_rows_that_a_table_keeps(tmp_path: Path) -> None:
    rows = [f"{'good' if each % 2 else 'bad'} {each},{each % 2}" for each in range(200)]
    source = tmp_path / "source.csv"
    source.write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    of_file = replace(plan(n_learn=100, n_pool=90), source=str(source))
    open_folder(tmp_path / "toy", of_file)
    labels = labels_of(tmp_path / "toy", of_file, rows=30)

    record_reference(tmp_path / "toy", of_file, tmp_path / "toy.npz", rows=30)
    found = load_reference(tmp_path / "toy.npz", labels)

    assert found is not None
    assert found.answers.shape == (30,)
    assert ((found.answers > 0.5) == labels).mean() > 0.9
    every = labels_of(tmp_path / "toy", of_file)
    assert np.array_equal(every[:30], labels)
    assert load_reference(tmp_path / "toy.npz", every) is None


def test_rows_have_the_order_of_the_sequences(tmp_path: Path) -> None:
    words = [" ".join(["good", "bad", f"{n}"] * (1 + n % 41)) for n in range(200)]
    rows = [f"{text},{n % 2}" for n, text in enumerate([*words, f"{words[3]}!"])]
    source = tmp_path / "source.csv"
    source.write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    of_file = replace(plan(n_learn=100, n_pool=101), source=str(source))
    open_folder(tmp_path / "toy", of_file)
    *sequences, _ = load_sequences(tmp_path / "toy", of_file)

    texts, *places = load_rows(tmp_path / "toy", of_file)

    for part, of_part in zip(sequences, places, strict=True):
        lengths = [1 + len(texts.texts[place].split()) for place in of_part]  # with the start token
        assert lengths == np.diff(part.offsets).tolist()
        assert [int(texts.labels[place]) for place in of_part] == part.labels.tolist()
    assert sorted(places[0] + places[1]) == list(range(201))


def test_folder_of_another_recording_is_refused(tmp_path: Path) -> None:
    open_folder(tmp_path, plan())
    open_folder(tmp_path, plan(configurations=9))

    with pytest.raises(SystemExit, match="holds another recording; give another --out"):
        open_folder(tmp_path, plan(n_learn=20))
