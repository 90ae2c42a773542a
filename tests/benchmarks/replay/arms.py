"""The searches that are compared: each a sampler and a pruner, replayed under the same chance."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count

import optuna

from tuner.search.pruner import make_pruner
from tuner.settings.config import PrunerName, SamplerName, SearchConfig, make_config

from .conformal import ConformalQuantiles
from .draw import Draw
from .gaussian_process import GaussianProcess
from .keras_tuner import replay_hyperband
from .priors import Prior, misleading, of_others, of_same, weighed
from .quick_search import QuickSearch
from .session_search import SessionSearch
from .starters import best_of_others, best_of_same, worst_of_same
from .table import Table
from .tabular import Chooser, Decides, Picker, Recorded
from .virtual_search import History, replay


def _in_order(seed: int) -> Decides:
    return lambda own: None


def _by_tuner(seed: int) -> Decides:
    return lambda own: own()


def _by_random_points(seed: int) -> Decides:
    sampler = optuna.samplers.RandomSampler(seed=seed)
    return lambda own: sampler


def _by_optuna(seed: int) -> Decides:
    """As a script that names no sampler, which keeps one for all its trials."""
    sampler = optuna.samplers.TPESampler(seed=seed)
    return lambda own: sampler


def _by_bohb(seed: int) -> Decides:
    """Multivariate TPE beside Hyperband, as BOHB (Falkner et al., 2018) has it."""
    sampler = _multivariate_tpe(seed)
    return lambda own: sampler


def _by_tpe_of_words(seed: int) -> Decides:
    """What tuner had before: ten random trials, the best tenth as the good ones, numbers in choices as words."""
    seeds = count(1000 * seed)
    return lambda own: _multivariate_tpe(next(seeds))


def _by_gaussian_process(seed: int) -> Decides:
    """Tuner's sampler draws the first trials at random."""
    process = GaussianProcess()
    return lambda own: Picker(process.pick, own())


def _by_conformal_quantiles(seed: int) -> Decides:
    """The first trials come in the replay's random order."""
    quantiles = ConformalQuantiles(seed)
    return lambda own: Picker(quantiles.pick, None)


def _multivariate_tpe(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=10, multivariate=True, group=True, constant_liar=True, seed=seed
        )


def no_starters(table: Table) -> Sequence[int]:
    """It begins as the sampler does."""
    return ()


OwnSearch = Callable[..., History]  # see `replay`, without the search


@dataclass(frozen=True)
class Arm:
    """One way to search.

    Args:
        decides: by the replay's number, which sampler decides; see `tuner.search.sampler`.
        pruner: tuner's.
        own_pruner: another one in its place.
        snaps_all, any_architecture: see `Chooser`.
        sampler: tuner's, where `decides` takes tuner's own.
        patience: tuner's setting.
        starters: the configurations that it tries first; see `tuner.search.starters`.
        prior: what earlier runs say of each configuration; see `priors.py`.
        own_search: another program's search in place of tuner's; then nothing of the above counts.
        is_peer: a rule of others that hands over one model.
        has_all_kinds: whether all outcomes are measured, see `outcomes.courses`.
    """

    name: str
    decides: Callable[[int], Decides]
    pruner: PrunerName
    own_pruner: Callable[[], optuna.pruners.BasePruner] | None = None
    snaps_all: bool = False
    any_architecture: bool = False
    sampler: SamplerName = SamplerName.TPE
    patience: int | str = "off"
    starters: Callable[[Table], Sequence[int]] = no_starters
    prior: Prior | None = None
    own_search: OwnSearch | None = None
    is_peer: bool = False
    has_all_kinds: bool = False


def _learning_from(what: str, starters: Callable[[Table], Sequence[int]]) -> Arm:
    name = f"TPE, patience 1, learning from {what}"
    return Arm(name, _by_tuner, PrunerName.NONE, patience=1, starters=starters, has_all_kinds=True)


def _with_prior(what: str, prior: Prior) -> Arm:
    name = f"TPE, patience 1, prior of {what}"
    return Arm(name, _by_tuner, PrunerName.NONE, patience=1, prior=prior, has_all_kinds=True)


RANDOM = Arm("random, none", _in_order, PrunerName.NONE, has_all_kinds=True)
# With the settings' defaults.
TODAY = Arm(
    "mixed, patience 1 (today)",
    _by_tuner,
    PrunerName.NONE,
    sampler=SamplerName.MIXED,
    patience=1,
    has_all_kinds=True,
)
ARMS = (
    RANDOM,
    Arm("random, none, snapped", _by_random_points, PrunerName.NONE, snaps_all=True),
    Arm("random, patience 1", _in_order, PrunerName.NONE, patience=1, has_all_kinds=True),
    Arm("random, patience 2", _in_order, PrunerName.NONE, patience=2, has_all_kinds=True),
    Arm("random, halving (ASHA)", _in_order, PrunerName.HALVING, is_peer=True),
    Arm("CQR, halving (ASHA)", _by_conformal_quantiles, PrunerName.HALVING, is_peer=True),
    Arm("random, halving, patience 1", _in_order, PrunerName.HALVING, patience=1),
    TODAY,
    Arm("TPE alone, patience 1", _by_tuner, PrunerName.NONE, patience=1, has_all_kinds=True),
    Arm(
        "TPE of any architecture, patience 1",
        _by_tuner,
        PrunerName.NONE,
        patience=1,
        any_architecture=True,
    ),
    Arm(
        "Gaussian process, patience 1",
        _by_gaussian_process,
        PrunerName.NONE,
        patience=1,
        has_all_kinds=True,
    ),
    Arm(
        "CQR, patience 1",
        _by_conformal_quantiles,
        PrunerName.NONE,
        patience=1,
        has_all_kinds=True,
    ),
    Arm("TPE of words, patience 1", _by_tpe_of_words, PrunerName.NONE, patience=1),
    Arm("TPE of words, halving", _by_tpe_of_words, PrunerName.HALVING, is_peer=True),
    Arm("TPE of words, halving, patience 1", _by_tpe_of_words, PrunerName.HALVING, patience=1),
    Arm("TPE, halving, patience 1", _by_tuner, PrunerName.HALVING, patience=1),
    Arm("TPE, patience 2", _by_tuner, PrunerName.NONE, patience=2, has_all_kinds=True),
    Arm("TPE, patience off", _by_tuner, PrunerName.NONE, has_all_kinds=True),
    _learning_from("the best of the same", best_of_same),
    _learning_from("the best of others", best_of_others),
    _learning_from("the worst of the same", worst_of_same),
    _with_prior("the same", of_same),
    _with_prior("others", of_others),
    _with_prior("a run that misleads", misleading),
    Arm(
        "TPE, median (Optuna)",
        _by_optuna,
        PrunerName.NONE,
        own_pruner=optuna.pruners.MedianPruner,
        is_peer=True,
    ),
    Arm("random, Hyperband", _in_order, PrunerName.HYPERBAND, is_peer=True),
    Arm("TPE, Hyperband (BOHB-like)", _by_bohb, PrunerName.HYPERBAND, is_peer=True),
    Arm(
        "Hyperband (KerasTuner)",
        _in_order,
        PrunerName.NONE,
        own_search=replay_hyperband,
        is_peer=True,
    ),
)


def search(
    arm: Arm,
    table: Table,
    recorded: Recorded,
    draw: Draw,
    *,
    workers: int,
    is_over: Callable[[History, float], bool],
    kind: type[SessionSearch] | type[QuickSearch] = QuickSearch,
) -> History:
    """One replay of an arm."""
    if arm.own_search is not None:
        return arm.own_search(table, draw, workers=workers, is_over=is_over)
    config = _config(arm, table)
    chooser = Chooser(
        recorded,
        draw.order,
        arm.decides(draw.number),
        snaps_all=arm.snaps_all,
        any_architecture=arm.any_architecture,
        first=arm.starters(table),
        prior=None if arm.prior is None else partial(weighed, arm.prior(table)),
    )
    pruner = (
        make_pruner(config.pruner, config.epochs, config.space.metric)
        if arm.own_pruner is None
        else arm.own_pruner()
    )
    found = kind(chooser, config, pruner, seed=draw.number, workers=workers)
    return replay(found, table, draw, is_over=is_over)


@lru_cache
def _config(arm: Arm, table: Table) -> SearchConfig:
    return make_config(
        {
            "space": table.space,
            "sampler": arm.sampler,
            "pruner": arm.pruner,
            "patience": arm.patience,
            "trials": table.n_configurations,
        }
    )
