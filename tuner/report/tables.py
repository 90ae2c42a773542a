"""The small tables of a report: baselines, finalists, tests, failures, environment, runs. Plain text, unescaped."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.report.reading import Reading
from tuner.report.style import IN_WORDS
from tuner.report.summary import duration_text, shown_test
from tuner.run.evaluations import EvaluationFigures
from tuner.run.finalists_file import FinalistRow
from tuner.run.records import TrialRecord
from tuner.text import count_text, score_text

_SHOWN_TRIALS = 8  # per kind of failure


@dataclass(frozen=True)
class Table:
    """A small table of text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def baselines(reading: Reading) -> Table | None:
    """The best trial compared with each baseline of the space; None where none ran."""
    best = reading.best
    ran = [record for record in reading.records if record.baseline and not record.superseded]
    if best is None or best.score is None or not ran:
        return None
    rows = []
    for record in ran:
        if record.ranked_score is None:
            lead = IN_WORDS[record.status]
        elif record is best:
            lead = "is the best"
        else:
            lead = difference(
                reading, reading.space.metric.gain(best.score, over=record.ranked_score)
            )
        rows.append(
            (
                record.architecture,
                str(record.number),
                score_text(record.score),
                lead,
                str(len(record.curve)),
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
        *("in the search", "gap", "differs from the first", "at most worse than the best"),
    )
    return Table(columns, rows)


def confusion(figures: EvaluationFigures) -> Table:
    """One row per true class: the predicted classes of its sequences, recall and precision.

    Of many classes, which have no matrix, those of lowest F1.
    """
    if not figures.confusion:
        return Table(
            ("lowest F1 of all classes", "F1", "recall", "precision", "sequences"),
            tuple(
                (
                    name,
                    f"{each.f1:.3f}",
                    f"{each.recall:.3f}",
                    f"{each.precision:.3f}",
                    f"{each.count:,}",
                )
                for name, each in figures.classes.items()
            ),
        )
    columns = ("true \\ predicted", *figures.classes, "recall", "precision")
    rows = tuple(
        (
            name,
            *(f"{cell:,}" for cell in figures.confusion[number]),
            f"{each.recall:.3f}",
            f"{each.precision:.3f}",
        )
        for number, (name, each) in enumerate(figures.classes.items())
    )
    return Table(columns, rows)


def failures(reading: Reading) -> Table | None:
    """The reasons why trials broke or were interrupted, the most frequent first; None where none did."""
    kinds: dict[tuple[str, str], list[TrialRecord]] = defaultdict(list)
    for record in reading.records:
        is_interrupted = reading.is_interrupted(record)
        if record.status.is_ranked and record.error is None and not is_interrupted:
            continue
        unknown = "its search died" if is_interrupted else "no reason was recorded"
        first_line = (record.error or unknown).strip().partition("\n")[0]
        status = "interrupted" if is_interrupted else IN_WORDS[record.status]
        kinds[(status, first_line)].append(record)
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
    for record in reading.counted:
        if record.host is not None:
            hosts[(record.host, record.device or "")] += 1
    rows = [("run folder", str(reading.folder.path))]
    if reading.recorded.created:
        rows.append(("first started", reading.recorded.created))
    rows += [
        ("host and device", f"{host}, {device}: {count_text(count, 'trial')}")
        for (host, device), count in sorted(hosts.items())
    ]
    rows += [
        (name.replace("_", " "), str(settings[name]))
        for name in (
            "seed", "sampler", "pruner", "max_epochs", "patience", "cpus_per_trial", "gpus_per_trial", "max_concurrent"
        )
        if name in settings
    ]  # fmt: skip
    versions = reading.recorded.versions
    if versions:
        rows.append(("versions", ", ".join(f"{name} {v}" for name, v in versions.items())))
    return Table(("", ""), tuple(rows))


def compared(readings: Sequence[Reading]) -> Table:
    """One row per run."""
    columns = (
        *("run", "data", "space", "trials", "searched", "best", "architecture"),
        *("confirmed", "95 % interval", "tested"),
    )
    return Table(columns, tuple(_run_row(reading) for reading in readings))


def difference(reading: Reading, lead: float) -> str:
    """A difference of scores: in points (hundredths) for shares, unchanged for losses."""
    is_share = reading.space.metric.name.is_share
    return f"{100 * lead:+.2f} points" if is_share else f"{lead:+.4f}"


def _finalist_row(reading: Reading, rank: int, each: FinalistRow) -> tuple[str, ...]:
    differs = "" if rank == 1 else "not shown" if each.tie_with_best else "yes"
    near = " (recommended)" if each.recommended else ""
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
        "" if each.worse_at_most is None else f"{each.worse_at_most:.4f}{near}",
    )


def _run_row(reading: Reading) -> tuple[str, ...]:
    best, first = reading.best, next(iter(reading.finalists), None)
    return (
        reading.label,
        reading.data,
        reading.space.name,
        f"{len(reading.counted):,}",
        duration_text(reading.seconds),
        score_text(best.score) if best else "",
        best.architecture if best else "",
        score_text(first.mean) if first else "",
        f"{score_text(first.low)} to {score_text(first.high)}" if first else "",
        score_text(shown_test(reading).figures.accuracy) if reading.tests else "",
    )
