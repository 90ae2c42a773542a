"""A table of recorded trainings: the same questions whatever was recorded, and a file that brings all of it back."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from benchmarks.replay.draw import draws, on_the_same_rows, random_order
from benchmarks.replay.table import RecordedTraining, load_table, save_table
from support.replay_tables import made_table, space_of

TABLES = Path(__file__).parents[1] / "benchmarks/replay/tables"
PROBABILITIES = np.array([[0.9, 0.4, 0.2], [0.8, 0.7, 0.6]], np.float16)
CLASSES = np.array([[[0.5, 0.3, 0.2], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6]]] * 2, np.float16)
LABELS = np.array([1, 1, 0])


def training(configuration: int, seed: int) -> RecordedTraining:
    return RecordedTraining(
        key=f"{configuration}-{seed}",
        configuration=configuration,
        seed=seed,
        parameters={"architecture": "lstm", "learning_rate": 0.01},
        steps=10,
        weights=7,
        building_s=0.5,
        training_s=[1.0, 2.0],
        evaluation_s=[0.1, 0.1],
        loss=[0.6, 0.5],
    )


def saved(path: Path, trainings, answers, labels=LABELS) -> Path:
    save_table(
        path,
        name="made",
        space=space_of(2),
        points=[Fraction(1, 2), Fraction(1)],
        trainings=trainings,
        answers=answers,
        labels=labels,
        n_pool=3,
    )
    return path


@pytest.mark.parametrize(
    ("answers", "labels", "right"),
    [
        (PROBABILITIES, LABELS, [[1, 0, 1], [1, 1, 0]]),
        (CLASSES, LABELS, [[0, 1, 0], [0, 1, 0]]),
        (np.packbits([[1, 0, 1], [1, 1, 0]], axis=1), None, [[1, 0, 1], [1, 1, 0]]),
    ],
)
def test_file_brings_back_which_rows_were_right(tmp_path: Path, answers, labels, right) -> None:
    table = load_table(saved(tmp_path / "t.npz", [training(0, 0)], {"0-0": answers}, labels))

    np.testing.assert_array_equal(table.right[0, 0], np.array(right, bool))
    assert table.epoch_points == (0, 1)
    assert table.training_s[0, 0].tolist() == [1.0, 2.0]
    assert table.n_classes == (3 if answers is CLASSES else 2)


def test_configuration_with_fewer_seeds_is_left_out(tmp_path: Path) -> None:
    trainings = [training(0, 0), training(1, 0), training(1, 1)]
    answers = {each.key: PROBABILITIES for each in trainings}

    table = load_table(saved(tmp_path / "t.npz", trainings, answers))

    assert table.right.shape == (1, 2, 2, 3)


def test_average_of_probabilities_may_be_right_where_the_vote_is_wrong(tmp_path: Path) -> None:
    sure, unsure = np.array([[0.9]] * 2, np.float16), np.array([[0.4]] * 2, np.float16)
    trainings = [training(number, 0) for number in range(3)]
    answers = {"0-0": sure, "1-0": unsure, "2-0": unsure}
    labels = np.array([1])
    kept = load_table(saved(tmp_path / "p.npz", trainings, answers, labels))
    packed = {key: np.packbits(each > 0.5, axis=1) for key, each in answers.items()}
    bits = load_table(saved(tmp_path / "b.npz", trainings, packed, None))
    rows = np.array([0])

    assert kept.accuracy_of([kept.answers(n, 0, 1, rows) for n in range(3)], rows) == 1
    assert bits.accuracy_of([bits.answers(n, 0, 1, rows) for n in range(3)], rows) == 0
    assert bits.accuracy_of([bits.answers(n, 0, 1, rows) for n in range(2)], rows) == 0.5


def test_average_over_three_classes_takes_the_likeliest(tmp_path: Path) -> None:
    answers = {"0-0": CLASSES, "1-0": CLASSES[:, :, [1, 0, 2]]}
    table = load_table(saved(tmp_path / "t.npz", [training(0, 0), training(1, 0)], answers))
    rows = np.arange(3)

    of_first = table.accuracy_of([table.answers(0, 0, 1, rows)], rows)
    of_second = table.accuracy_of([table.answers(1, 0, 1, rows)], rows)

    assert (of_first, of_second) == pytest.approx((1 / 3, 1 / 3))


def test_kept_words_have_six_classes_and_their_reference() -> None:
    table = load_table(TABLES / "words_wide.npz")

    assert table.probabilities.shape == (80, 2, 6, 1500, 6)
    assert table.epoch_points == tuple(range(6))
    best = table.right[..., -1, :].mean(axis=(1, 2)).max()
    of_reference = (table.reference.answers.argmax(axis=1) == table.labels).mean()
    assert (best, of_reference) == pytest.approx((0.85, 0.82), abs=0.01)


def test_roles_of_a_draw_share_no_row_and_do_not_depend_on_how_many_are_drawn() -> None:
    table = made_table(np.full((4, 2), 0.7))
    few, many = list(draws(table, range(2), seed=3)), list(draws(table, range(103), seed=3))

    for draw in many:
        parts = [draw.validation, draw.confirmation, draw.truth]
        assert sorted(np.concatenate(parts)) == list(range(100))
        measured = table.right[:, 0][..., draw.validation].mean(axis=-1)
        np.testing.assert_allclose(draw.validation_accuracy, measured, atol=1e-6)
    (later,) = draws(table, range(102, 103), seed=3)
    np.testing.assert_array_equal(later.order, many[102].order)
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.truth, other.truth)
        np.testing.assert_array_equal(one.order, other.order)


def test_another_search_on_the_same_rows_has_other_seeds_and_another_order() -> None:
    table = load_table(TABLES / "imdb_train_quickstart.npz")
    (draw,) = draws(table, range(1), seed=0)
    other = on_the_same_rows(table, draw, 5)

    assert other.number == 5
    assert np.array_equal(other.truth, draw.truth)
    assert 0 < (other.seeds != draw.seeds).mean() < 1
    assert not np.array_equal(other.order, draw.order)
    alike = other.seeds == draw.seeds
    assert np.array_equal(other.validation_accuracy[alike], draw.validation_accuracy[alike])
    assert not np.array_equal(other.validation_accuracy, draw.validation_accuracy)
    assert not np.array_equal(on_the_same_rows(table, draw, 6).order, other.order)


def test_outcomes_on_fresh_rows_vary_as_on_rows_outside_of_the_pool() -> None:
    table = made_table(np.full((1, 1), 0.7), n_pool=2000)
    right = table.right[0, 0, 0]

    def deviation(*, has_fresh_rows: bool) -> float:
        drawn = draws(table, range(300), seed=0, has_fresh_rows=has_fresh_rows)
        return float(np.std([right[draw.truth].mean() for draw in drawn]))

    outside = np.sqrt(0.7 * 0.3 / 1200)  # of as many independent rows
    assert deviation(has_fresh_rows=True) == pytest.approx(1.2 * outside, rel=0.15)
    assert deviation(has_fresh_rows=False) == pytest.approx(0.63 * outside, rel=0.15)


def test_equally_good_models_have_exactly_the_same_accuracy() -> None:
    table = made_table(np.full((400, 1), 0.7), n_pool=1000)
    (draw,) = draws(table, range(1), seed=0)

    right = table.right[:, 0, 0][:, draw.validation].sum(axis=1).astype(np.float32)
    assert np.array_equal(draw.validation_accuracy[:, 0], right / np.float32(200))


def test_random_order_draws_architectures_alike_however_often_they_were_recorded() -> None:
    architectures = ["lstm"] * 30 + ["cnn_lstm"] * 10
    orders = [random_order(architectures, np.random.default_rng(n)) for n in range(300)]

    assert all(sorted(order) == list(range(40)) for order in orders)
    first = [architectures[order[0]] for order in orders]
    assert 120 < first.count("cnn_lstm") < 180
    assert {order[0] for order in orders} == set(range(40))
