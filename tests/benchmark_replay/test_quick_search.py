"""Searches without the session decide as those through it, and densities by SciPy are Optuna's."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from benchmarks.replay.arms import ARMS, search
from benchmarks.replay.draw import Draw, draws
from benchmarks.replay.quick_normal import quick_normal
from benchmarks.replay.quick_search import QuickSearch
from benchmarks.replay.session_search import SessionSearch
from benchmarks.replay.table import Table, load_table
from benchmarks.replay.tabular import Recorded
from optuna.samplers._tpe import _truncnorm

TABLE = Path(__file__).parents[1] / "benchmarks/replay/tables/imdb_train_quickstart.npz"
# Each kind of sampler and pruner once.
TRIED = (
    "random, none, snapped",
    "random, halving, patience 1",
    "TPE alone, patience 1",
    "mixed, patience 1 (today)",
    "TPE of any architecture, patience 1",
    "CQR, halving (ASHA)",
    "Gaussian process, patience 1",
    "TPE of words, halving, patience 1",
    "TPE, median (Optuna)",
    "TPE, Hyperband (BOHB-like)",
)


@pytest.fixture(scope="module")
def recorded() -> tuple[Table, Recorded, Draw]:
    table = load_table(TABLE)
    (draw,) = draws(table, range(1), seed=7)
    return table, Recorded(table.space, table.parameters), draw


@pytest.mark.parametrize("name", TRIED)
def test_decides_as_through_the_session(name: str, recorded: tuple[Table, Recorded, Draw]) -> None:
    table, of_table, draw = recorded
    (arm,) = (arm for arm in ARMS if arm.name == name)
    quick, through_session = (
        search(
            arm, table, of_table, draw, workers=2, is_over=lambda _, next_s: next_s > 120, kind=kind
        )
        for kind in (QuickSearch, SessionSearch)
    )

    assert quick == through_session
    assert len(quick.ended_s) >= 12  # more than any of them draws at random first


def test_densities_are_optunas() -> None:
    rng = np.random.default_rng(0)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    for _ in range(12):
        trial = study.ask()
        trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        trial.suggest_int("units", 8, 512, log=True)
        trial.suggest_int("layers", 1, 3)
        trial.suggest_categorical("pooling", ["max", "mean"])
        study.tell(trial, rng.random())
    estimator = study.sampler._build_parzen_estimator(
        study, study.trials[0].distributions, study.trials, handle_below=False
    )
    points = {
        "rate": np.array([1e-4, 3e-3, 1e-1]),
        "units": np.array([8.0, 100.0, 512.0]),
        "layers": np.array([1.0, 2.0, 3.0]),
        "pooling": np.array([0, 1, 0]),
    }

    expected = estimator.log_pdf(points)
    with quick_normal():
        np.testing.assert_allclose(estimator.log_pdf(points), expected, rtol=1e-9)
    assert estimator.log_pdf(points) == pytest.approx(expected, abs=0)


def test_masses_far_out_are_optunas() -> None:
    low = np.array([-40.0, -3.0, -0.1, 2.0, 38.5])
    high = np.array([-39.0, -2.9, 0.1, 9.0, 39.0])

    expected = _truncnorm._log_gauss_mass(low, high)
    with quick_normal():
        np.testing.assert_allclose(_truncnorm._log_gauss_mass(low, high), expected, rtol=1e-9)
