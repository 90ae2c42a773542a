"""The figures of a report: which exist, which trials they count, what they draw."""

import json
from typing import Any

import numpy as np
import pytest
from support.run_files import SCRIPT, MakeRun, record

from tuner.errors import UsageError
from tuner.report.figure_list import chosen_figures, figures_of
from tuner.report.figures.costs import costs
from tuner.report.figures.curves import learning_curves
from tuner.report.figures.history import optimisation_history
from tuner.report.figures.importance import at_equal_epochs, parameter_importance
from tuner.report.figures.parallel import parallel_coordinates
from tuner.report.figures.slices import slices
from tuner.report.figures.timeline import Bar, joined, lanes_of, timeline
from tuner.report.reading import Reading, read_run
from tuner.report.style import BEST, looks
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.settings.space import SearchSpace

pytestmark = (
    pytest.mark.slow
)  # Plotly and Optuna's drawings are loaded, and a run is made for most tests

NAMES = [
    "optimisation-history",
    "learning-curves",
    "parameter-importance",
    "slices",
    "parallel-coordinates",
    "costs",
    "timeline",
]


def traces(figure: Any, panel: int = 0) -> list[Any]:
    return list(figure.panels[panel].drawing.data)


def test_a_run_has_every_figure(some: Reading) -> None:
    assert [figure.name for figure in figures_of([some])] == NAMES


def test_one_figure_can_be_chosen_by_name(some: Reading) -> None:
    (figure,) = chosen_figures([some], ["slices"])
    assert figure.name == "slices"
    with pytest.raises(
        UsageError, match=r"--figure: no figure 'slice'; write one of optimisation-"
    ):
        chosen_figures([some], ["slice"])


def test_the_history_goes_up_where_a_trial_was_better(some: Reading) -> None:
    figure = optimisation_history(some)
    best = traces(figure)[-1]
    assert list(best.y) == sorted(best.y)
    assert some.best is not None
    assert best.y[-1] == some.best.score
    points = [x for trace in traces(figure)[:-1] for x in trace.x]
    assert sorted(points) == [record.number for record in some.records if record.score is not None]


def test_of_a_loss_the_history_goes_down(make_run: MakeRun, space: SearchSpace) -> None:
    metric = type(space.metric).model_validate({"name": "val_loss", "mode": "min"})
    loss = space.model_copy(update={"metric": metric})
    reading = read_run(Run(make_run((0.5,), (0.7,), (0.6,), (0.9,), space=loss).path), "mine")
    best = traces(optimisation_history(reading))[-1]
    assert list(best.y) == pytest.approx([0.5, 0.3, 0.1])
    assert reading.best is not None
    assert reading.best.number == 3
    assert all(figure is not None for figure in (slices(reading), costs(reading)))


def test_an_architecture_has_one_colour_everywhere(some: Reading) -> None:
    wanted = {name: look.colour for name, look in looks(some.space.architectures).items()}
    for figure in figures_of([some]):
        for panel in figure.panels:
            for trace in panel.drawing.data:
                if trace.name in wanted:
                    colour = (
                        trace.marker.color
                        if trace.type == "bar" or "markers" in trace.mode
                        else trace.line.color
                    )
                    assert colour == wanted[trace.name], figure.name  # fmt: skip
    assert BEST not in wanted.values()


def test_pruned_curves_are_dashed_to_a_cross(some: Reading) -> None:
    dashed = [trace for trace in traces(learning_curves(some)) if trace.line.dash == "dash"]
    texts = [text for trace in dashed for text in trace.text if text]
    assert len(texts) == 3
    assert all("pruned" in text for text in texts)
    points = [pair for t in dashed for pair in zip(t.marker.symbol, t.text, strict=True)]
    signs = {sign for sign, text in points if text}
    assert signs == {"x-thin"}


def test_importance_compares_at_the_last_epoch_that_most_reached(some: Reading) -> None:
    equal = at_equal_epochs(some)
    assert equal is not None
    assert (equal.epoch, len(equal.values), equal.out_of) == (3, 20, 23)
    figure = parameter_importance(some)
    assert figure is not None
    assert "after 3 epochs. 20 of 23 trials count" in figure.caption
    assert "among the best 5, after" in figure.caption
    (bars,) = traces(figure)
    assert sum(bars.x) == pytest.approx(1)
    low, high = bars.x - bars.error_x.arrayminus, bars.x + bars.error_x.array
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert max(high - low) > 0.1  # of twenty trials
    assert bars.customdata == pytest.approx(np.stack([low, high], axis=1))
    assert "the lines are 95 % intervals" in figure.caption
    assert [panel.name for panel in figure.panels] == [
        "all"
    ]  # 10 trials of an architecture are too few


def test_importance_counts_pruned_trials_where_most_are(make_run: MakeRun) -> None:
    trials = [(0.5 + n / 100, 0.9) if n < 4 else (0.5 + n / 100,) for n in range(12)]
    reading = read_run(Run(make_run(*trials, pruned=frozenset(range(4, 12))).path), "mine")
    equal = at_equal_epochs(reading)
    assert equal is not None
    assert (equal.epoch, len(equal.values)) == (1, 12)
    assert equal.values[0] == 0.5  # not 0.9, which it reached later


def test_slices_show_a_parameter_of_the_trials_that_have_it(some: Reading) -> None:
    figure = slices(some)
    assert figure is not None
    assert [panel.title for panel in figure.panels] == ["learning_rate", "lstm_units", "filters"]
    names = {trace.name for trace in traces(figure, 2)}
    assert names - {"best"} == {"cnn_lstm"}


def test_parallel_coordinates_have_one_line_per_trial(some: Reading) -> None:
    figure = parallel_coordinates(some)
    assert figure is not None
    assert [panel.name for panel in figure.panels] == ["all", "lstm", "cnn_lstm"]
    assert len(traces(figure)) == 23


def test_the_front_holds_the_trials_that_no_other_beats_on_both(some: Reading) -> None:
    weights = costs(some)
    assert weights is not None
    front = traces(weights, 1)[-1]
    pairs = [(r.weights, r.score) for r in some.scored]
    wanted = [
        (w, s)
        for w, s in pairs
        if not any((o[0] <= w and o[1] > s) or (o[0] < w and o[1] >= s) for o in pairs)
    ]
    assert sorted(zip(front.x, front.y, strict=True)) == sorted(wanted)


def test_the_timeline_has_a_lane_for_each_trial_at_a_time(some: Reading) -> None:
    lanes = lanes_of(some)
    assert [lane.name for lane in lanes] == ["h · cpu"]
    assert sum(len(lane.bars) for lane in lanes) == 24
    assert timeline(some) is not None


def test_short_trials_that_share_a_bar_leave_their_idle_time_to_be_seen() -> None:
    bars = [Bar(at, at + 1, (record(at),), 1) for at in (0, 2, 4, 30)]
    few, late = joined(bars, 10)
    assert (few.begin, few.end, few.busy_s, len(few.records)) == (0, 5, 3, 3)
    assert late == bars[-1]


def test_text_of_users_data_is_escaped_in_every_figure(hostile: RunFolder) -> None:
    for figure in figures_of([read_run(Run(hostile.path), "hostile")]):
        for panel in figure.panels:
            content = json.dumps(json.loads(panel.drawing.to_json()), ensure_ascii=False)
            assert SCRIPT not in content
            assert "<b>bold" not in content


@pytest.mark.parametrize("trials", [(), (None, None)], ids=["none", "failed"])
def test_without_scores_few_figures_are_drawn(make_run: MakeRun, trials: Any) -> None:
    names = [figure.name for figure in figures_of([read_run(Run(make_run(*trials).path), "mine")])]
    assert names == ["timeline"] * bool(trials)


@pytest.mark.parametrize(
    ("options", "others"),
    [
        ([0.0, 0.2], {"float": [0.0, 0.5]}),
        (["none", "some"], {"float": [0.0, 0.5]}),
        ([1, 2], {"choice": [1.0, 0.5]}),  # equal, and two labels
        ([True, False], {"choice": [0, 1, 2]}),
    ],
)
def test_a_parameter_may_be_a_choice_here_and_a_range_there(
    make_run: MakeRun, options: list[Any], others: dict[str, Any]
) -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "mixed",
            "max_epochs": 3,
            "shared": {},
            "architectures": {
                "m:one": {"rate": {"choice": options}},
                "m:two": {"rate": others},
            },
        },
        "mixed.yaml",
    )
    folder = make_run(*((0.5 + number / 100,) for number in range(12)), space=space)
    figure = slices(read_run(Run(folder.path), "mixed"))
    assert figure is not None
    drawn = sum(len(trace.x) for trace in traces(figure) if trace.name != "best")
    assert drawn == 12
