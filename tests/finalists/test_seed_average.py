"""All seeds of a finalist averaged: what that is worth, and which models `--members seeds` takes."""

import numpy as np
import pytest
from support.confirmed_run import Confirmed

from tuner.finalists.card import model_card
from tuner.finalists.choice import load_chosen
from tuner.finalists.model_choice import MembersOf, ModelChoice
from tuner.finalists.ranking import finalist_rows
from tuner.finalists.seed_average import average_of
from tuner.run.finalists_file import read_finalists_file
from tuner.settings.metric import Metric, MetricName, Mode
from tuner.terminal.finalists import choice_lines

LABELS = np.ones(300, np.int32)
EACH_ALONE = np.arange(300, dtype=np.int64)


def members(*wrong: range) -> list[np.ndarray]:
    """Models of two classes that are just wrong on these sequences, and sure on the others."""
    sure = np.full(len(LABELS), 0.9)
    positives = [np.where(np.isin(EACH_ALONE, list(each)), 0.4, sure) for each in wrong]
    return [np.column_stack([1 - each, each]).astype(np.float32) for each in positives]


def test_seeds_that_are_wrong_on_different_sequences_gain_all_of_them() -> None:
    average = average_of(
        members(range(30), range(30, 60), range(60, 90)), LABELS, EACH_ALONE, Metric()
    )
    assert average is not None
    assert (average.models, average.score) == (3, 1.0)
    assert average.gain.mean == pytest.approx(0.1)
    # Each of 90 sequences is one third better, the others are not: a standard error of 0.0088.
    assert average.gain.low == pytest.approx(0.1 - 1.99 * 0.0088, abs=0.001)
    assert average.text.startswith(
        "3 seeds averaged 1.0000, gain over one of them +0.1000 (95 % interval +0.08"
    )


def test_a_gain_is_positive_also_where_less_is_better() -> None:
    metric = Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)
    average = average_of(members(range(30), range(30, 60)), LABELS, EACH_ALONE, metric)
    assert average is not None
    assert average.gain.low > 0


def test_copies_are_less_evidence() -> None:
    models = members(range(0, 60), range(60, 120), range(120, 180))
    alone = average_of(models, LABELS, EACH_ALONE, Metric())
    copied = average_of(models, LABELS, EACH_ALONE // 10, Metric())
    assert alone is not None
    assert copied is not None
    assert copied.gain.mean == pytest.approx(alone.gain.mean)
    ratio = (copied.gain.mean - copied.gain.low) / (alone.gain.mean - alone.gain.low)
    assert ratio > 3  # the root of ten, and fewer degrees of freedom


def test_one_seed_has_no_average() -> None:
    assert average_of(members(range(30)), LABELS, EACH_ALONE, Metric()) is None


@pytest.mark.ray
def test_all_seeds_of_a_finalist_are_members_and_their_worth_is_told(confirmed: Confirmed) -> None:
    chosen = load_chosen(confirmed.run, ModelChoice(members=MembersOf.SEEDS))
    first = confirmed.finalists[0]
    assert [(record.number, member.seed) for record, member in chosen.members] == [
        (first.record.number, member.seed) for member in first.members
    ]
    assert len(chosen.members) == 2
    assert chosen.average is not None
    assert chosen.average == first.average
    assert choice_lines(chosen)[0] == f"On the confirmation split: {chosen.average.text}"
    card = model_card(chosen)
    assert "All of their seeds are in this folder" in card
    assert f"\nOn the confirmation split: {chosen.average.text}\n" in card
    assert f"tuner export {confirmed.folder.path} --members=seeds\n" in card
    rows = read_finalists_file(confirmed.folder)
    assert list(rows) == finalist_rows(confirmed.finalists)
    assert rows[0].averaged_text is not None

    both = chosen.choice.model_copy(update={"ensemble": 2})
    assert len(load_chosen(confirmed.run, both).members) == 4
    assert load_chosen(confirmed.run, ModelChoice()).average is None
