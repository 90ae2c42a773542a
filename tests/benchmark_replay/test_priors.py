"""What earlier runs say of configurations, weighed beside the trials of a replayed search."""

import numpy as np
from benchmarks.replay.arms import ARMS, search
from benchmarks.replay.draw import Draw
from benchmarks.replay.priors import PRIOR_TRIALS, misleading, of_same, weighed
from benchmarks.replay.table import Table
from benchmarks.replay.tabular import Recorded
from support.replay_tables import made_table, plain_draw

# Higher learning rates, which have higher numbers, are better.
TABLE = made_table(np.linspace(0.5, 0.95, 40)[:, None], n_pool=2000)


def tried(arm_name: str, table: Table, draw: Draw) -> list[int]:
    """The configurations of a search's trials."""
    (arm,) = (arm for arm in ARMS if arm.name == arm_name)
    recorded = Recorded(table.space, table.parameters)
    history = search(
        arm, table, recorded, draw, workers=1, is_over=lambda found, _: len(found.ended) >= 20
    )
    return [seen.configuration for seen in history.seen]


def test_a_prior_thinks_most_of_what_was_good_in_the_earlier_run() -> None:
    good, bad = of_same(TABLE), misleading(TABLE)

    assert good.shape == bad.shape == (40,)
    assert good[30:].min() > good[:20].max()
    assert bad[:10].min() > bad[20:].max()


def test_a_prior_counts_less_with_every_trial() -> None:
    prior = np.array([1.0, -2.0])

    assert weighed(prior, 0).tolist() == weighed(prior, PRIOR_TRIALS).tolist() == [1.0, -2.0]
    assert weighed(prior, 4 * PRIOR_TRIALS).tolist() == [0.25, -0.5]


def test_the_prior_alone_decides_about_the_first_trials() -> None:
    best_first = list(np.argsort(-of_same(TABLE)))

    assert (
        tried("TPE, patience 1, prior of the same", TABLE, plain_draw(TABLE))[:5] == best_first[:5]
    )


def test_a_prior_that_misleads_is_left() -> None:
    configurations = tried(
        "TPE, patience 1, prior of a run that misleads", TABLE, plain_draw(TABLE)
    )

    assert max(configurations[:5]) < 10
    assert min(configurations[-3:]) > 20  # not the next bad ones that are left
