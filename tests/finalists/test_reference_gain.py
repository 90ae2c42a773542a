"""The linear reference averaged with the models of a finalist: what that is worth, and where it is told."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.confirmed_run import Confirmed

from tuner.execution.plan import SearchOutcome
from tuner.finalists.ranking import finalist_rows
from tuner.finalists.reference_gain import ReferenceRows, reference_rows
from tuner.report.reading import read_runs
from tuner.report.summary import in_words
from tuner.report.tiles import tiles
from tuner.run.finalists_file import read_finalists_file
from tuner.run.sessions import SessionEnd
from tuner.search.reference_member import mixed, weight_of
from tuner.settings.metric import Metric, MetricName, Mode
from tuner.terminal.finalists import print_confirmation
from tuner.training.statistics import sequence_scores

N = 600
LABELS = (np.arange(N) % 2).astype(np.int32)
EACH_ALONE = np.arange(N, dtype=np.int64)


def noisy(seed: int, sureness: float) -> NDArray[np.float32]:
    """Probabilities of two classes that err independently of those of another seed."""
    logits = np.random.default_rng(seed).normal((2 * LABELS - 1) * sureness, 1.0)
    second = 1 / (1 + np.exp(-2 * sureness * logits))
    return np.stack([1 - second, second], axis=1).astype(np.float32)


def two_classes(of_true: NDArray[np.float64], truth: NDArray[np.int32]) -> NDArray[np.float32]:
    second = np.where(truth == 1, of_true, 1 - of_true)
    return np.stack([1 - second, second], axis=1).astype(np.float32)


SEEDS = [noisy(1, 1.0), noisy(2, 0.9)]
REFERENCE = noisy(3, 1.0)


def rows(metric: Metric | None = None, clusters: NDArray[np.int64] = EACH_ALONE) -> ReferenceRows:
    return ReferenceRows(REFERENCE, LABELS, clusters, metric or Metric())


def test_it_is_averaged_with_each_seed_and_compared_with_their_mean() -> None:
    found = rows().gain_with(SEEDS)
    assert found is not None
    assert found.weight == weight_of(SEEDS[0], REFERENCE, LABELS) == 0.5
    halves = [EACH_ALONE % 2 == 0, EACH_ALONE % 2 == 1]
    by_half = [weight_of(SEEDS[0][h], REFERENCE[h], LABELS[h]) for h in reversed(halves)]
    scores = [
        sequence_scores(
            MetricName.VAL_ACCURACY, mixed(each[half], REFERENCE[half], weight), LABELS[half]
        ).mean()
        for each in SEEDS
        for half, weight in zip(halves, by_half, strict=True)
    ]
    assert found.score == pytest.approx(np.mean(scores))
    alone = [sequence_scores(MetricName.VAL_ACCURACY, each, LABELS).mean() for each in SEEDS]
    assert found.gain.mean == pytest.approx(found.score - np.mean(alone))
    assert 0 < found.gain.low < found.gain.mean < found.gain.high
    assert found.text.startswith(
        f"with the linear reference (half of the average) {found.score:.4f}, gain over its mean +0.0"
    )


def test_no_sequence_is_measured_with_a_part_that_it_chose() -> None:
    """The reference is right on one half and just wrong on the other: each half chooses what is bad for the other."""
    of_true = np.where(EACH_ALONE % 2 == 0, 0.95, 0.45)
    truth = (EACH_ALONE // 2 % 2).astype(np.int32)  # both classes in both halves
    reference = two_classes(of_true, truth)
    model = two_classes(np.random.default_rng(0).uniform(0.35, 0.9, N), truth)
    found = ReferenceRows(reference, truth, EACH_ALONE, Metric()).gain_with([model])
    assert found is not None

    def right(probabilities: NDArray[np.float32]) -> float:
        return float(sequence_scores(MetricName.VAL_ACCURACY, probabilities, truth).mean())

    assert right(mixed(model, reference, found.weight)) > right(model)
    assert found.gain.mean < 0


def test_a_gain_is_positive_also_where_less_is_better() -> None:
    found = rows(Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)).gain_with(SEEDS)
    assert found is not None
    assert found.gain.low > 0


def test_copies_are_less_evidence() -> None:
    alone, copied = rows().gain_with(SEEDS), rows(clusters=EACH_ALONE // 20).gain_with(SEEDS)
    assert alone is not None
    assert copied is not None
    assert copied.gain.mean == pytest.approx(alone.gain.mean, abs=0.01)
    assert copied.gain.low != pytest.approx(alone.gain.low, abs=1e-4)


def test_it_has_no_figures_where_it_adds_nothing_to_the_best_seed() -> None:
    wrong = ReferenceRows(REFERENCE[:, ::-1], LABELS, EACH_ALONE, Metric())
    assert wrong.gain_with(SEEDS) is None


@pytest.mark.ray
def test_a_confirmation_its_file_and_the_report_tell_it(
    confirmed: Confirmed, capsys: pytest.CaptureFixture[str]
) -> None:
    first, metric = confirmed.finalists[0], confirmed.config.space.metric
    found = first.with_reference
    assert found is not None
    kept = reference_rows(confirmed.folder, confirmed.dataset, metric)
    assert kept is not None
    again = kept.gain_with([member.probabilities for member in first.members])
    assert again == found
    written = read_finalists_file(confirmed.folder)
    assert list(written) == finalist_rows(confirmed.finalists)
    assert written[0].with_reference_text == found.text
    assert written[0].reference_weight == found.weight
    outcome = SearchOutcome(confirmed.run, SessionEnd.BUDGET_USED)
    assert print_confirmation(outcome, confirmed.config.data) == 0
    printed = capsys.readouterr().out
    trial = first.record.number
    assert f"Trial {trial} {found.text}: --with-reference tests or exports them" in printed
    option = " --with-reference" if found.gain.mean > 0 else ""
    assert f"           tuner export {confirmed.folder.path}{option}\n" in printed
    (reading,) = read_runs([str(confirmed.folder.path)])
    assert f" Trial {trial} has {found.text} (`--with-reference`)." in " ".join(in_words(reading))
    names = [tile.name for tile in tiles(reading)]
    assert names.index("confirmed, with the linear reference") == names.index("confirmed") + 1


def test_a_run_without_a_kept_reference_tells_nothing(confirmed: Confirmed, tmp_path: Path) -> None:
    metric = confirmed.config.space.metric
    assert reference_rows(type(confirmed.folder)(tmp_path), confirmed.dataset, metric) is None
