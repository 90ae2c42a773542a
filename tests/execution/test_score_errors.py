"""How sure a trial's score is where validation rows are of groups: from real training to the leaderboard."""

import math
from pathlib import Path

import numpy as np
import pytest
from support.grouped_data import write_groups
from support.searches import make

from tuner.data import Dataset, Split, load_dataset
from tuner.execution.search import run_search
from tuner.report.reading import read_runs
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace
from tuner.training.trained_model_file import from_bytes

SPACE = SearchSpace.from_mapping(
    {
        "name": "real",
        "max_epochs": 2,
        "shared": {"learning_rate": {"float": [1e-3, 3e-2], "log": True}, "lstm_units": 8},
        "architectures": {"lstm": {}},
    },
    "real.yaml",
)


def grouped(folder: Path, **settings: object) -> SearchConfig:
    data = {"source": str(write_groups(folder)), "group_column": "customer"}
    return make(SPACE, folder, folder, data=data, no_reference=True, **settings)


def expected_error(run: Run, trial: int, dataset: Dataset) -> tuple[float, float]:
    """The error over customers and the one over rows, by the kept model: both splits have the same rows."""
    content = run.files.trial_model(trial).read_bytes()
    labels = dataset.splits[Split.CONFIRMATION].labels
    hits = from_bytes(content, "").probabilities.argmax(axis=1) == labels
    clusters = dataset.clusters_of(Split.CONFIRMATION)
    rates = [hits[clusters == each].mean() for each in np.unique(clusters)]  # of equal sizes
    return np.std(rates, ddof=1) / math.sqrt(len(rates)), np.std(hits) / math.sqrt(len(hits))


@pytest.mark.keras
@pytest.mark.slow
def test_the_error_of_a_trained_score_is_that_over_groups(
    without_ray: None, tmp_path: Path
) -> None:
    config = grouped(tmp_path, trials=2, trainer="keras", ensemble=2, pruner="none")
    run = run_search(config).run
    dataset = load_dataset(config.data)
    board = run.leaderboard().set_index("trial")
    for trial, error in board["score_error"].items():
        over_customers, over_rows = expected_error(run, trial, dataset)
        assert error == pytest.approx(over_customers, abs=1e-6)
        assert over_customers > 2 * over_rows  # as the leaderboard had it
    (reading,) = read_runs([str(run.folder)])
    assert reading.board["score_error"].equals(run.leaderboard()["score_error"])

    longer = config.model_copy(update={"trials": 3})
    continued = run_search(longer).run.leaderboard().set_index("trial")
    assert continued["score_error"].notna().all()
    assert continued["score_error"].loc[board.index].equals(board["score_error"])


def test_a_toy_predicts_no_row_so_its_error_over_groups_is_not_known(
    without_ray: None, tmp_path: Path
) -> None:
    config = grouped(tmp_path, trials=2)
    run = run_search(config).run
    assert run.study.user_attrs[Attribute.VALIDATION_ROWS] == 90
    assert run.study.user_attrs[Attribute.VALIDATION_CLUSTERS] == 9
    assert run.leaderboard()["score_error"].isna().all()


def test_of_rows_without_groups_each_is_evidence(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    run = run_search(make(space, sentences, tmp_path, trials=1)).run
    rows = run.study.user_attrs[Attribute.VALIDATION_ROWS]
    assert Attribute.VALIDATION_CLUSTERS not in run.study.user_attrs
    (row,) = run.leaderboard().to_dict("records")
    assert row["score_error"] == pytest.approx(
        math.sqrt(row["score"] * (1 - row["score"]) / rows), abs=1e-6
    )
