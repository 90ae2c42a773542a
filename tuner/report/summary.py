"""What a run came to, in words and small tables: for the page's top and for Markdown. Plain text, nothing escaped."""

import os
import shlex
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.config import format_duration
from tuner.numbers import cost_text, number_text, score_text
from tuner.objectives import Cost
from tuner.parameters import Range
from tuner.records import TrialRecord
from tuner.report.edges import edges
from tuner.report.reading import Confirmed, Reading, Tested
from tuner.report.style import IN_WORDS
from tuner.space import MetricName, Mode
from tuner.status import TrialStatus

_ORDER = tuple(TrialStatus)
_SHOWN_TRIALS = 8  # numbers of a kind of failure


@dataclass(frozen=True)
class Table:
    """A small table of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Tile:
    """A figure that is looked at first."""

    name: str
    value: str
    remark: str


def in_words(reading: Reading) -> list[str]:
    """What was searched, how long, the best, how sure, what to do next; a sentence or two each."""
    lines = [_searched(reading), _took(reading)]
    if reading.best is None:
        lines.append(
            "No trial has a score yet." if reading.is_running else "No trial reached a score."
        )
        return lines
    lines += [_best(reading, reading.best), *_front(reading), _how_sure(reading)]
    lines += [tested(opening) for opening in reading.openings[-1:]]
    for edge in edges(reading.space, reading.best):
        lines.append(f"{edge[0].upper()}{edge[1:]}.")
    return lines


def tiles(reading: Reading) -> list[Tile]:
    """The four figures of a run."""
    best = reading.best
    found = [
        Tile(
            f"best {reading.metric}",
            score_text(best.score) if best else "–",
            f"trial {best.number}, {best.architecture}" if best else "no score yet",
        )
    ]
    if reading.finalists:
        first = reading.finalists[0]
        found.append(
            Tile(
                "confirmed",
                score_text(first.mean),
                f"95 % interval {score_text(first.low)} to {score_text(first.high)}, trial {first.trial}",
            )
        )
    if reading.openings:
        last = reading.openings[-1]
        found.append(
            Tile(
                "tested accuracy",
                score_text(last.accuracy),
                f"95 % interval {score_text(last.low)} to {score_text(last.high)}",
            )
        )
    found.append(Tile("trials", f"{len(reading.records):,}", counts_text(reading)))
    found.append(Tile("searched", _duration(reading.seconds), _speed(reading)))
    return found


def baselines(reading: Reading) -> Table | None:
    """The best against each baseline of the space; None where none ran."""
    best = reading.best
    ran = [record for record in reading.records if record.baseline and not record.superseded]
    if best is None or best.score is None or not ran:
        return None
    rows = []
    for record in ran:
        if record.score is None or not record.is_ranked:
            lead = IN_WORDS[record.status]
        elif record is best:
            lead = "is the best"
        else:
            lead = difference(reading, reading.lead(best.score, record.score))
        rows.append(
            (
                record.architecture,
                str(record.number),
                score_text(record.score),
                lead,
                _epochs(record),
            )
        )
    return Table(
        ("baseline", "trial", reading.metric, "the best is better by", "epochs"), tuple(rows)
    )


def finalists(reading: Reading) -> Table | None:
    """The finalists in order; None before `tuner confirm`."""
    if not reading.finalists:
        return None
    rows = tuple(
        _finalist_row(reading, rank, each) for rank, each in enumerate(reading.finalists, 1)
    )
    columns = (
        *("rank", "trial", "architecture", "seeds", "confirmed", "95 % interval"),
        *("in the search", "optimism", "differs from the first"),
    )
    return Table(columns, rows)


def confusion(opening: Tested) -> Table:
    """What was called what, and how often rightly so."""
    columns = ("true \\ called", *opening.classes, "recall", "precision")
    rows = tuple(
        (
            name,
            *(f"{cell:,}" for cell in opening.confusion[number]),
            f"{opening.recalls[number]:.3f}",
            f"{opening.precisions[number]:.3f}",
        )
        for number, name in enumerate(opening.classes)
    )
    return Table(columns, rows)


def failures(reading: Reading) -> Table | None:
    """Why trials broke or were cut off, the most frequent reason first; None where none did."""
    kinds: dict[tuple[str, str], list[TrialRecord]] = defaultdict(list)
    for record in reading.records:
        if record.status.is_ranked and record.error is None:
            continue
        first_line = (record.error or "no reason was recorded").strip().partition("\n")[0]
        kinds[(IN_WORDS[record.status], first_line)].append(record)
    if not kinds:
        return None
    rows = []
    for (status, reason), records in sorted(kinds.items(), key=lambda kind: -len(kind[1])):
        numbers = [str(record.number) for record in records]
        more = f" and {len(numbers) - _SHOWN_TRIALS} more" if len(numbers) > _SHOWN_TRIALS else ""
        places = sorted({record.architecture for record in records if record.architecture})
        trials = ", ".join(numbers[:_SHOWN_TRIALS]) + more
        rows.append((status, str(len(records)), reason, ", ".join(places), trials))
    return Table(("status", "trials", "reason", "architectures", "which"), tuple(rows))


def environment(reading: Reading) -> Table:
    """Machines, versions and settings."""
    settings = reading.recorded.settings
    hosts: dict[tuple[str, str], int] = defaultdict(int)
    for record in reading.records:
        if record.host is not None:
            hosts[(record.host, record.device or "")] += 1
    rows = [("run folder", str(reading.folder.path))]
    if created := settings.get("created"):
        rows.append(("first asked for", str(created)))
    rows += [
        ("host and device", f"{host}, {device}: {count:,} trials")
        for (host, device), count in sorted(hosts.items())
    ]
    rows += [
        (name.replace("_", " "), str(settings[name]))
        for name in ("seed", "sampler", "pruner", "max_epochs", "cpus_per_trial", "gpus_per_trial", "max_concurrent")
        if name in settings
    ]  # fmt: skip
    versions = reading.recorded.versions
    if versions:
        rows.append(("versions", ", ".join(f"{name} {v}" for name, v in versions.items())))
    return Table(("", ""), tuple(rows))


def commands(reading: Reading) -> list[str]:
    """What to type to run it again from nothing, with its `run.yaml`; without one, nothing reproduces it."""
    if not reading.recorded.text:
        return []
    name = os.path.basename(os.path.abspath(reading.folder.path))
    again = f"{name}-again"
    ended = sum(1 for record in reading.records if not record.cut_off and record.ended is not None)
    lines = [
        f"tuner search --config {shlex.quote(str(reading.folder.run_file))} --out runs --name {shlex.quote(again)} "
        f"--trials {max(1, ended)}"
    ]
    if reading.finalists:
        seeds = max(each.seeds for each in reading.finalists)
        lines.append(
            f"tuner confirm {shlex.quote(f'runs/{again}')} --top {len(reading.finalists)} --seeds {seeds}"
        )
    if any(opening.data == "the test split" for opening in reading.openings):
        lines.append(f"tuner test {shlex.quote(f'runs/{again}')}")
    return lines


def compared(readings: Sequence[Reading]) -> Table:
    """A row a run."""
    columns = (
        *("run", "data", "space", "trials", "searched", "best", "architecture"),
        *("confirmed", "95 % interval", "tested"),
    )
    return Table(columns, tuple(_run_row(reading) for reading in readings))


def warnings_of_comparison(readings: Sequence[Reading]) -> list[str]:
    """What makes these runs' scores hard to compare."""
    lines = []
    prints = {reading.recorded.data_fingerprint for reading in readings}
    if len(prints) > 1:
        lines.append(
            "These runs were not scored on the same rows (other data, another sample or another seed of the splits): "
            "small differences between their scores mean nothing."
        )
    epochs = {reading.space.max_epochs for reading in readings}
    given = {reading.recorded.settings.get("max_epochs") for reading in readings}
    if len(epochs | {each for each in given if isinstance(each, int)}) > 1 and len(given) > 1:
        lines.append("Their trials could train for different numbers of epochs.")
    return lines


def counts_text(reading: Reading) -> str:
    """`9 complete, 4 pruned, 1 failed`."""
    counts = reading.counts
    return ", ".join(f"{counts[s]:,} {IN_WORDS[s]}" for s in _ORDER if counts.get(s)) or "none"


def difference(reading: Reading, lead: float) -> str:
    """A difference of scores: of shares in points, hundredths of one; of losses as it is."""
    if reading.space.metric.name is MetricName.VAL_LOSS:
        return f"{lead:+.4f}"
    return f"{100 * lead:+.2f} points"


def _searched(reading: Reading) -> str:
    space = reading.space
    names = {
        name
        for architecture in space.architectures
        for name, parameter in space.parameters(architecture).items()
        if isinstance(parameter, Range)
    }
    data = f" on {reading.recorded.data}" if reading.recorded.data else ""
    about = f" ({space.description})" if space.description else ""
    better = "higher" if reading.mode is Mode.MAX else "lower"
    return (
        f"Searched {_plural(len(names), 'parameter')} of {_plural(len(space.architectures), 'architecture')} in the "
        f"space {space.name}{about}{data}. A trial's score is its best epoch's {reading.metric}; {better} is better."
    )


def _took(reading: Reading) -> str:
    if not reading.records:
        return "No trial has been started yet."
    ongoing = (
        " The search is still running; this is what it has reached." if reading.is_running else ""
    )
    return (
        f"{_plural(len(reading.records), 'trial')} in {_duration(reading.seconds)} of searching: "
        f"{counts_text(reading)}.{ongoing}"
    )


def _best(reading: Reading, best: TrialRecord) -> str:
    weights = f", {best.weights:,} weights" if best.weights else ""
    seconds = f", {best.seconds:,.0f} s of training" if best.seconds else ""
    baseline = " It is one of the baselines." if best.baseline else ""
    return (
        f"The best is trial {best.number}, {best.architecture}, with {score_text(best.score)} in epoch "
        f"{best.best_epoch} of {len(best.curve)}{weights}{seconds}.{baseline}"
    )


def _front(reading: Reading) -> list[str]:
    """Of a search by two objectives: how far its front reaches."""
    if reading.objectives is None or not reading.front:
        return []
    cost = reading.objectives.cost
    unit = "weights" if cost is Cost.WEIGHTS else "s an epoch"
    ends = dict.fromkeys(
        f"{score_text(record.score)} with {cost_text(record.cost(cost))} {unit} (trial {record.number})"
        for record in (reading.front[0], reading.front[-1])
    )
    count = _plural(len(reading.front), "trial")
    return [
        f"It was searched by two objectives, {reading.metric} and {str(cost).replace('_', ' ')}, so nothing was "
        f"pruned. {count} on the front: {' to '.join(ends)}."
    ]


def _how_sure(reading: Reading) -> str:
    where = shlex.quote(str(reading.folder.path))
    if not reading.finalists:
        return (
            "How sure: not confirmed. The top of a leaderboard is partly luck, the best of many scores on one set of "
            f"rows; `tuner confirm {where}` trains the best again with fresh seeds and says how much."
        )
    first, *others = reading.finalists
    ties = [str(each.trial) for each in others if each.ties_with_best]
    if ties:
        tied = f" It ties with {_listed(ties)}: no difference at a level of 5 %."
    else:
        tied = " It is better than every other finalist at a level of 5 %." if others else ""
    best = reading.best
    searched = next(
        (e for e in reading.finalists if best is not None and e.trial == best.number), first
    )
    kind = "of it was luck" if searched.optimism >= 0 else "of it was bad luck"
    return (
        f"How sure: trained again with {_plural(first.seeds, 'fresh seed')} and ranked on rows that the search never "
        f"saw, trial {first.trial} ({first.architecture}) is first with {score_text(first.mean)}, 95 % interval "
        f"{score_text(first.low)} to {score_text(first.high)}.{tied} The search's score of trial {searched.trial} was "
        f"{score_text(searched.search_score)}, confirmed {score_text(searched.mean)}: an optimism gap of "
        f"{searched.optimism:+.4f}; so much {kind}."
    )


def tested(opening: Tested) -> str:
    """What came of opening the test split."""
    return (
        f"Tested on {opening.data} ({opening.sequences:,} sequences, opened {opening.opened[:10]}): accuracy "
        f"{score_text(opening.accuracy)}, 95 % interval {score_text(opening.low)} to {score_text(opening.high)}."
    )


def _finalist_row(reading: Reading, rank: int, each: Confirmed) -> tuple[str, ...]:
    differs = "" if rank == 1 else "no: a tie" if each.ties_with_best else "yes"
    return (
        str(rank),
        str(each.trial),
        each.architecture,
        str(each.seeds),
        score_text(each.mean),
        f"{score_text(each.low)} to {score_text(each.high)}",
        score_text(each.search_score),
        f"{each.optimism:+.4f}",
        differs,
    )


def _run_row(reading: Reading) -> tuple[str, ...]:
    best, first = reading.best, next(iter(reading.finalists), None)
    return (
        reading.label,
        reading.recorded.data,
        reading.space.name,
        f"{len(reading.records):,}",
        _duration(reading.seconds),
        score_text(best.score) if best else "",
        best.architecture if best else "",
        score_text(first.mean) if first else "",
        f"{score_text(first.low)} to {score_text(first.high)}" if first else "",
        score_text(reading.openings[-1].accuracy) if reading.openings else "",
    )


def parameters_text(record: TrialRecord) -> str:
    """`lstm_units=64, learning_rate=0.001`."""
    return ", ".join(f"{name}={number_text(value)}" for name, value in record.parameters.items())


def _epochs(record: TrialRecord) -> str:
    return str(len(record.curve))


def _speed(reading: Reading) -> str:
    finished = sum(1 for record in reading.records if record.ended is not None)
    if not finished or reading.seconds <= 0:
        return ""
    each = reading.seconds / finished
    return f"{each:.1f} s a trial" if each < 90 else f"{format_duration(each)} a trial"


def _duration(seconds: float) -> str:
    return format_duration(max(1.0, seconds)) if seconds > 0 else "unknown time"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _listed(names: Sequence[str]) -> str:
    numbers = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"trial {numbers}" if len(names) == 1 else f"trials {numbers}"
