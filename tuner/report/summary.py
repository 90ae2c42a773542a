"""A run in words, for the top of the page and for Markdown. Plain text, nothing escaped."""

import os
import re
import shlex
from collections.abc import Sequence

from tuner.report.range_edges import edges
from tuner.report.reading import Reading
from tuner.report.style import IN_WORDS
from tuner.run.device import lacks_cudnn, packings
from tuner.run.evaluations import LINEAR_REFERENCE, TEST_SPLIT, RecordedEvaluation
from tuner.run.finalists_file import FinalistRow, best_of_search, shown_bias
from tuner.run.ledger import others_text
from tuner.run.records import StudyReader, TrialRecord
from tuner.run.requested_trainings import MARGIN
from tuner.run.train_on import TrainOn
from tuner.run.trial_status import TrialStatus
from tuner.settings.hyperparameters import module_options
from tuner.settings.places import LONGEST_NAME
from tuner.text import (
    cost_text,
    count_text,
    format_duration,
    joined,
    number_text,
    one_group_lines,
    score_text,
)

_ORDER = tuple(TrialStatus)


def in_words(reading: Reading) -> list[str]:
    """A sentence or two each: the search, its length, the best trial, how sure that is, the next step."""
    lines = [_searched(reading), _took(reading)]
    lines += [
        _best(reading),
        *_front(reading),
        *_ensemble(reading),
        *_reference(reading),
        *_what_differs(reading),
        *_how_sure(reading),
        *_one_group(reading),
        *_on_gpus(reading),
    ]
    if reading.tests:
        lines.append(tested(shown_test(reading)))
    for edge in edges(reading.space, reading.scored):
        lines.append(f"{edge[0].upper()}{edge[1:]}.")
    return lines


def commands(reading: Reading) -> list[str]:
    """The commands that repeat the run with its `run.yaml`; none where it has no `run.yaml`."""
    if not reading.recorded.text:
        return []
    name = os.path.basename(os.path.abspath(reading.folder.path))
    again = _name_again(name)
    ended = sum(1 for record in reading.counted if record.ended is not None)
    modules = module_options(reading.space.architectures)
    lines = [
        f"tuner search --config {shlex.quote(str(reading.folder.run_file))} --out runs --name {shlex.quote(again)} "
        f"--trials {max(1, ended)}{modules}"
    ]
    if reading.finalists:
        seeds = max(each.seeds for each in reading.finalists)
        of_rows = reading.trained_on
        learn = "" if of_rows is TrainOn.TRAIN else f" --train-on {of_rows}"
        near = "" if reading.margin == MARGIN else f" --margin {reading.margin:g}"
        options = f"--top {len(reading.finalists)} --seeds {seeds}{learn}{near}{modules}"
        lines.append(f"tuner confirm {shlex.quote(f'runs/{again}')} {options}")
    if any(test.data == TEST_SPLIT for test in reading.tests):
        lines.append(f"tuner test {shlex.quote(f'runs/{again}')}{modules}")
    return lines


def _name_again(name: str) -> str:
    """A name for the repeated run; a folder's name may have characters that no run's has."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip("_.-").rstrip("-") or "run"
    ending = "-again"
    return f"{plain[: LONGEST_NAME - len(ending)]}{ending}"


def warnings_of_comparison(readings: Sequence[Reading]) -> list[str]:
    """The reasons why these runs' scores are hard to compare."""
    lines = []
    prints = {
        (
            reading.recorded.fingerprint and reading.recorded.fingerprint.data,
            reading.scored_on.parts,
        )
        for reading in readings
    }
    if len(prints) > 1:
        lines.append(
            "These runs were not scored on the same rows (other data, another sample, another seed of the splits or "
            "rotating validation): "
            "small differences between their scores mean nothing."
        )
    epochs = {
        reading.recorded.settings.get("max_epochs") or reading.space.max_epochs
        for reading in readings
    }
    if len(epochs) > 1:
        lines.append("Their trials could train for different numbers of epochs.")
    return lines


def counts_text(reading: Reading) -> str:
    """`9 complete, 4 pruned, 1 failed`, and behind a semicolon the interrupted ones, which do not count."""
    counts = reading.counts
    counted = ", ".join(f"{counts[s]:,} {IN_WORDS[s]}" for s in _ORDER if counts.get(s)) or "none"
    interrupted = len(reading.records) - len(reading.counted)
    return f"{counted}; {interrupted:,} interrupted" if interrupted else counted


def _searched(reading: Reading) -> str:
    space = reading.space
    data = f" on {reading.data}" if reading.data else ""
    about = f" ({space.description})" if space.description else ""
    parameters = count_text(len(space.varied_names), "parameter")
    parts = reading.scored_on.parts
    by_turns = f" on one of {parts} parts of the rows, by turns" if parts else ""
    return (
        f"Searched {parameters} of {count_text(len(space.architectures), 'architecture')} "
        f"in the space {space.name}{about}{data}. A trial's score is its best epoch's {reading.metric}{by_turns}; "
        f"{space.metric.better_is} is better.{_from_narrower(reading)}"
    )


def _from_narrower(reading: Reading) -> str:
    count = StudyReader(reading.study).n_from_narrower
    if not count:
        return ""
    which = "first trial was" if count == 1 else f"first {count:,} trials were"
    return f" The search was widened: its {which} drawn from a narrower space."


def _took(reading: Reading) -> str:
    if not reading.records:
        return "No trial has been started yet."
    ongoing = (
        " The search is still running; these are its results so far." if reading.is_running else ""
    )
    return (
        f"{count_text(len(reading.counted), 'trial')} in {duration_text(reading.seconds)} of searching: "
        f"{counts_text(reading)}.{ongoing}"
    )


def _best(reading: Reading) -> str:
    best = reading.best
    if best is None:
        return "No trial has a score yet." if reading.is_running else "No trial reached a score."
    weights = f", {best.weights:,} weights" if best.weights else ""
    seconds = f", {best.seconds:,.0f} s of training" if best.seconds else ""
    baseline = " It is one of the baselines." if best.baseline else ""
    return (
        f"The best is trial {best.number}, {best.architecture}, with {score_text(best.score)} in epoch "
        f"{best.best_epoch} of {len(best.curve)}{weights}{seconds}.{baseline}"
    )


def _front(reading: Reading) -> list[str]:
    """For a search by two objectives: the two ends of its front."""
    if not reading.front:
        return []
    (cost,) = reading.objectives.costs
    ends = dict.fromkeys(
        f"{score_text(record.score)} with {cost_text(record.cost(cost))} {cost.unit} (trial {record.number})"
        for record in (reading.front[0], reading.front[-1])
    )
    count = count_text(len(reading.front), "trial")
    return [
        f"The search had two objectives, {reading.metric} and {str(cost).replace('_', ' ')}, so nothing was pruned. "
        f"{count} on the front: {' to '.join(ends)}."
    ]


def _ensemble(reading: Reading) -> list[str]:
    """The best trials averaged, on the rows of the confirmation split."""
    ensemble = reading.ensemble
    if ensemble is None or not ensemble.is_average:
        return []
    together = ensemble.with_reference
    further = f" And {together.text}." if together is not None else ""
    modules = module_options(reading.space.architectures)
    command = f"tuner export {shlex.quote(str(reading.folder.path))} --members trials{modules}"
    own, chose = "own trials averaged", "chose none of them"
    if len(ensemble.members) == 1:
        own, chose = "best trial", "did not choose it"
    return [
        f"The search's {own}, without further training: {ensemble.trials_text}, which {chose}.{further} They are "
        f"{ensemble.cost_text}; `{command}` writes them as one model."
    ]


def _reference(reading: Reading) -> list[str]:
    """The linear model that everybody can train in seconds, and who is better than it."""
    reference = reading.reference
    if reference is None:
        return []
    compared = [f" Against it, {each.text}." for each in reference.compared]
    return [f"To compare with: {reference.text}.{''.join(compared)}"]


def _what_differs(reading: Reading) -> list[str]:
    """How far scores differ by configuration, seed and rows, and what would help."""
    components = reading.components
    if components is None:
        return []
    told = components.text_with_advice(reading.space.metric, reading.ensemble)
    return [
        f"Why the scores of the {components.trials:,} complete trials differ (standard deviations): {told}"
    ]


def _how_sure(reading: Reading) -> list[str]:
    where = f"{shlex.quote(str(reading.folder.path))}{module_options(reading.space.architectures)}"
    if not reading.finalists and reading.best is None:
        return []
    if not reading.finalists:
        rows = "different rows" if reading.scored_on.parts else "one set of rows"
        return [
            "How sure: not confirmed. The top of a leaderboard looks better than it is, as the best of many scores on "
            f"{rows}; `tuner confirm {where}` trains the best again with fresh seeds and shows by how much."
        ]
    first, *others = reading.finalists
    ties = [str(each.trial) for each in others if each.tie_with_best]
    if ties and max(each.seeds for each in reading.finalists) < 2:
        tied = " One seed cannot show whether it is better: use more --seeds."
    elif ties:
        tied = f" {_listed(ties).capitalize()} may be as good: no difference at a level of 5 % for all together."
    else:
        tied = " It is better than every other finalist at a level of 5 %." if others else ""
    tied += "".join(map(_recommended, reading.finalists))
    searched = best_of_search(reading.finalists, reading.space.metric)
    lost = "".join(f" {each.text}" for each in reading.failures)
    return [
        f"How sure: trained again with {count_text(first.seeds, 'fresh seed')} and ranked on rows that the search "
        f"never saw, trial {first.trial} ({first.architecture}) is first with {score_text(first.mean)}, "
        f"{interval_text(first)}.{tied} The finalist that was "
        f"best in the search, trial {searched.trial}, scored {score_text(searched.search_score)} there and "
        f"{score_text(searched.mean)} when confirmed: a gap of {searched.gap_text}.{_averaged(first)}"
        f"{_with_reference(first)}{lost}"
    ]


def _one_group(reading: Reading) -> list[str]:
    """What the intervals on the confirmation split are of, where its rows are one group alone."""
    measured = (*reading.finalists[:1], reading.ensemble, reading.reference)
    counts = [each.clusters for each in measured if each is not None]
    return one_group_lines("confirmation", next(filter(None, counts), None))


def interval_text(first: FinalistRow) -> str:
    """The interval of the finalist that came first, and what it is of."""
    interval = f"95 % interval {score_text(first.low)} to {score_text(first.high)}"
    if first.selection_bias is None:  # in a file of an earlier version
        return f"{interval} of a finalist chosen before the confirmation"
    bias = shown_bias(first.selection_bias)
    return interval if bias is None else f"{interval}, corrected by {bias} for selection bias"


def _averaged(first: FinalistRow) -> str:
    """All seeds of the finalist that came first, as one model."""
    text = first.averaged_text
    return "" if text is None else f" Of trial {first.trial}, all {text} (`--members seeds`)."


def _with_reference(first: FinalistRow) -> str:
    """The finalist that came first together with the linear reference, as one model."""
    text = first.with_reference_text
    return "" if text is None else f" Trial {first.trial} has {text} (`--with-reference`)."


def _recommended(finalist: FinalistRow) -> str:
    if not finalist.recommended or finalist.worse_at_most is None:
        return ""
    return (
        f" Trial {finalist.trial} is recommended, the smallest that is near enough to the best "
        f"(`tuner confirm --margin`): at most {score_text(finalist.worse_at_most)} worse."
    )


def _on_gpus(reading: Reading) -> list[str]:
    """What the times of trials on GPUs depend on besides their parameters."""
    devices = [record.device for record in reading.records if record.device]
    lines = []
    several = packings(devices)
    if len(several) > 1:
        lines.append(
            f"Trials had {len(several)} different shares of GPUs ({'; '.join(several)}): their seconds per epoch are "
            "comparable only within one of these."
        )
    slow = sum(map(lacks_cudnn, devices))
    if slow:
        lines.append(
            f"{count_text(slow, 'trial')} could not use cuDNN, as with recurrent dropout: on a GPU a step then takes "
            "about 25 times as long."
        )
    return lines


def shown_test(reading: Reading) -> RecordedEvaluation:
    """The last evaluation of the test split; of other rows, or of the reference alone, only where there is none."""
    of_split = [each for each in reading.tests if each.data == TEST_SPLIT]
    of_models = [each for each in of_split if each.members != (LINEAR_REFERENCE,)]
    return (of_models or of_split or reading.tests)[-1]


def whose_text(test: RecordedEvaluation) -> str:
    """The tested model: `trial 7, seed 3`, or of several the first one and how many are averaged with it."""
    first, *others = test.members or ("a model",)
    return f"{first} averaged with {count_text(len(others), 'other')}" if others else first


def _threshold_text(test: RecordedEvaluation) -> str:
    return "" if test.threshold is None else f" with the threshold {test.threshold:g}"


def tested(test: RecordedEvaluation) -> str:
    """The figures of a test evaluation, beside those of the reference; what other runs were tested on its rows."""
    figures = (
        f"Tested on {test.data} ({count_text(test.figures.sequences, 'sequence')}, {test.opened[:10]}), "
        f"{whose_text(test)}{_threshold_text(test)}: accuracy {score_text(test.figures.accuracy)}, 95 % interval "
        f"{score_text(test.figures.low)} to {score_text(test.figures.high)}."
    )
    reference = "" if test.reference is None else f"Reference: {test.reference.text}."
    return " ".join(
        filter(None, (figures, *test.figures.notes, reference, others_text(test.others or ())))
    )


def parameters_text(record: TrialRecord) -> str:
    """`lstm_units=64, learning_rate=0.001`."""
    return ", ".join(f"{name}={number_text(value)}" for name, value in record.parameters.items())


def duration_text(seconds: float) -> str:
    """A duration; `unknown time` where the study recorded none."""
    return format_duration(max(1.0, seconds)) if seconds > 0 else "unknown time"


def _listed(names: Sequence[str]) -> str:
    return f"trial {names[0]}" if len(names) == 1 else f"trials {joined(names)}"
