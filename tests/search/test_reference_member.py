"""The linear reference as a member of the ensemble: its part of the average, and what that is measured by."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.ensembles import LABELS, RECORD, Searched, model_of

from tuner.run.ensemble import EnsembleWithReference
from tuner.search import reference_member
from tuner.search.reference_member import honestly_mixed, mixed, weight_of
from tuner.settings.space import SearchSpace
from tuner.training.spec import HeldOutFigures, TrainedModel

N = 600
MANY = (np.arange(N) % 2).astype(np.int32)
WEIGHTS = (np.zeros(3, np.float32),) * 5


def noisy(seed: int, sureness: float, labels: NDArray[np.int32] = MANY) -> NDArray[np.float32]:
    """Probabilities of two classes that err independently of those of another seed."""
    logits = np.random.default_rng(seed).normal((2 * labels - 1) * sureness, 1.0)
    second = 1 / (1 + np.exp(-2 * sureness * logits))
    return np.stack([1 - second, second], axis=1).astype(np.float32)


def reference_of(probabilities: NDArray[np.float32]) -> TrainedModel:
    figures = HeldOutFigures(0, 0.4, 0.9, 0.9, seconds_per_text=0.0005)
    return TrainedModel(figures, probabilities, WEIGHTS, 3)


@pytest.fixture
def searched(tmp_path: Path, space: SearchSpace) -> Searched:
    found = Searched(tmp_path / "x", space)
    for score in (0.6, 0.7, 0.75):
        found.complete(score)
    return found


def test_it_gets_half_where_it_knows_as_much_more_where_it_knows_more_and_nothing_where_it_knows_nothing() -> (
    None
):
    trials = noisy(1, 1.0)
    assert weight_of(trials, noisy(2, 1.0), MANY) == 0.5
    assert weight_of(trials, noisy(2, 3.0), MANY) == 0.75
    assert weight_of(trials, noisy(2, 1.0, labels=1 - MANY), MANY) == 0
    assert weight_of(trials, trials[::-1], MANY) == 0  # as sure, and wrong as often as right
    assert 0 < weight_of(noisy(1, 1.6), noisy(2, 0.6), MANY) <= 0.5


def test_weights_are_compared_by_one_rule_whatever_the_number_of_errors() -> None:
    """Both are unsure and wrong on 12 sequences each, but not on the same: together on none."""
    labels = (np.arange(150) % 2).astype(np.int32)

    def unsure(wrong: range) -> NDArray[np.float32]:
        of_true = np.where(np.isin(np.arange(150), wrong), 0.45, 0.65)
        second = np.where(labels == 1, of_true, 1 - of_true)
        return np.stack([1 - second, second], axis=1).astype(np.float32)

    assert weight_of(unsure(range(12)), unsure(range(12, 24)), labels) == 0.5


def test_each_half_is_measured_with_the_weight_that_the_other_one_chooses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials, reference = noisy(1, 1.0), noisy(2, 1.0)
    clusters = np.repeat(np.arange(N // 3), 3)
    halves = clusters % 2

    def by_half(of: NDArray[np.float32], *_: object) -> float:
        return 0.25 if (of == trials[halves == 0]).all() else 0.5

    monkeypatch.setattr(reference_member, "weight_of", by_half)
    found = honestly_mixed(trials, reference, MANY, clusters)
    first, second = halves == 0, halves == 1
    assert found[second] == pytest.approx(mixed(trials, reference, 0.25)[second])
    assert found[first] == pytest.approx(mixed(trials, reference, 0.5)[first])


def test_the_record_has_the_figures_with_it_and_without_it(searched: Searched) -> None:
    without = searched.record
    assert without.with_reference is None
    searched.ensemble.take_reference(reference_of(noisy(5, 1.5, LABELS)))
    found = searched.record
    assert found.model_copy(update={"with_reference": None}) == without
    together = found.with_reference
    assert together is not None
    assert together.weight >= 0.5
    assert together.averaged > found.averaged
    assert together.gain == pytest.approx(together.averaged - found.averaged, abs=1e-6)
    assert together.gain_low < together.gain < together.gain_high
    names = list(searched.ensemble.probabilities)
    assert names == [
        "the average of 3 trials together with it",
        "the average of 3 trials",
        "trial 2",
    ]


def test_it_is_measured_again_with_every_new_member_and_left_out_where_it_is_not_wanted(
    searched: Searched,
) -> None:
    reference = reference_of(noisy(5, 1.5, LABELS))
    searched.ensemble.take_reference(reference)
    first = searched.record
    searched.complete(0.9)
    assert searched.record.with_reference != first.with_reference
    assert searched.record.has_reference
    searched.open()  # with --no-reference
    assert searched.record.with_reference is None


def test_one_that_adds_nothing_is_told_but_takes_no_part(searched: Searched) -> None:
    searched.ensemble.take_reference(reference_of(noisy(5, 1.5, 1 - LABELS)))
    found = searched.record
    assert found.with_reference is not None
    assert (found.with_reference.weight, found.with_reference.gain) == (0, 0)
    assert not found.has_reference
    assert found.lines[1] == "the linear reference would add nothing to it"
    assert "reference" not in found.short_text + found.cost_text
    assert "together" not in "".join(searched.ensemble.probabilities)


def test_one_without_weights_takes_no_part(searched: Searched) -> None:
    reference = dataclasses.replace(reference_of(model_of(0.9, LABELS)), weights=())
    searched.ensemble.take_reference(reference)
    assert searched.record.with_reference is None


def test_its_words() -> None:
    together = EnsembleWithReference(
        weight=0.25,
        averaged=0.756,
        low=0.73,
        high=0.78,
        gain=0.016,
        gain_low=0.004,
        gain_high=0.028,
        weights=250_000,
        seconds_per_text=0.0002,
    )
    record = RECORD.model_copy(update={"with_reference": together})
    assert record.short_text == (
        "3 trials averaged 0.7400, with the linear reference 0.7560, best single 0.7270 (trial 7)"
    )
    assert record.lines[1] == (
        "with the linear reference (a quarter of the average) 0.7560 (95 % interval 0.7300 to 0.7800): "
        "gain +0.0160 (+0.0040 to +0.0280)"
    )
    assert record.text == f"{RECORD.text}; {record.lines[1]}"
    assert record.cost_text == (
        "trials 7, 3 and 12 and the linear reference; 1,273,000 weights, 5.1 MB; 2.5 ms per text; "
        "without trial 5, whose weights are missing"
    )
    single = record.model_copy(update={"members": (7,)})
    assert single.is_average
    assert single.short_text == "best single 0.7270 (trial 7), with the linear reference 0.7560"
