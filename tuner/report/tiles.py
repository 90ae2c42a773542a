"""The figures at the top of a report. Plain text, nothing escaped."""

from dataclasses import dataclass

from tuner.report.reading import Reading
from tuner.report.summary import counts_text, duration_text, interval_text, shown_test, whose_text
from tuner.text import format_duration, score_text


@dataclass(frozen=True)
class Tile:
    """One of the figures at the top of the page."""

    name: str
    value: str
    remark: str


def tiles(reading: Reading) -> list[Tile]:
    """The figures at the top of the page."""
    best = reading.best
    found = [
        Tile(
            f"best {reading.metric}",
            score_text(best.score) if best else "–",
            f"trial {best.number}, {best.architecture}" if best else "no score yet",
        )
    ]
    ensemble = reading.ensemble
    if ensemble is not None and len(ensemble.members) > 1:
        found.append(
            Tile(
                f"{len(ensemble.members)} trials averaged",
                score_text(ensemble.averaged),
                f"95 % interval {score_text(ensemble.low)} to {score_text(ensemble.high)}, trial {ensemble.members[0]} "
                f"alone {score_text(ensemble.single)}",
            )
        )
    if ensemble is not None and ensemble.with_reference is not None and ensemble.has_reference:
        together = ensemble.with_reference
        found.append(
            Tile(
                "with the linear reference",
                score_text(together.averaged),
                f"95 % interval {score_text(together.low)} to {score_text(together.high)}, "
                f"{together.gain:+.4f} over the trials alone",
            )
        )
    if reading.finalists:
        first = reading.finalists[0]
        found.append(
            Tile(
                "confirmed",
                score_text(first.mean),
                f"{interval_text(first)}, trial {first.trial}",
            )
        )
        if first.with_reference is not None:
            found.append(
                Tile(
                    "confirmed, with the linear reference",
                    score_text(first.with_reference),
                    f"{first.with_reference_gain or 0:+.4f} over the finalist alone, trial {first.trial}",
                )
            )
    if reading.tests:
        test = shown_test(reading)
        last = test.figures
        found.append(
            Tile(
                "tested accuracy",
                score_text(last.accuracy),
                f"95 % interval {score_text(last.low)} to {score_text(last.high)}, {whose_text(test)}",
            )
        )
    found.append(Tile("trials", f"{len(reading.counted):,}", counts_text(reading)))
    found.append(Tile("searched", duration_text(reading.seconds), _speed(reading)))
    return found


def _speed(reading: Reading) -> str:
    finished = sum(1 for record in reading.counted if record.ended is not None)
    if not finished or reading.seconds <= 0:
        return ""
    each = reading.seconds / finished
    return f"{each:.1f} s per trial" if each < 90 else f"{format_duration(each)} per trial"
