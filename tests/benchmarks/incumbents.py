"""What searches would have handed over as time went on, compared: the figures of `time_to_accuracy.py`."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

OURS = "tuner"
_RESAMPLES = 2000


@dataclass(frozen=True)
class Form:
    """How much, how often and how long."""

    name: str
    reviews: dict[str, int]  # per split, of which the test split measures
    targets: tuple[float, ...]
    seeds: int
    limit_s: float


@dataclass(frozen=True)
class Searched:
    """What one search would have handed over.

    Args:
        started_s: when it began to train its first model.
        courses: by outcome, the moments at which it had another incumbent, and how often that is right.
    """

    started_s: float
    courses: dict[str, list[tuple[float, float]]]

    def seconds_to(self, target: float, outcome: str) -> float | None:
        """When its incumbent was first right so often; None where it never was."""
        moments = (at for at, accuracy in self.courses[outcome] if accuracy >= target)
        return min(moments, default=None)

    def last(self, outcome: str) -> float | None:
        """How often the last incumbent is right; None where there is none."""
        return self.courses[outcome][-1][1] if self.courses[outcome] else None


def rows(found: Mapping[str, Sequence[Searched]], form: Form) -> Iterator[dict[str, object]]:
    """Start-up, seconds to each target and accuracy at the end, of every outcome."""
    started = {name: [each.started_s for each in of] for name, of in found.items()}
    yield row("start-up", "", started, form)
    for outcome in ("single", "averaged"):
        for target in form.targets:
            times = {
                name: [each.seconds_to(target, outcome_of(name, outcome)) for each in of]
                for name, of in found.items()
            }
            yield row(
                f"{target:.2f}",
                outcome,
                {
                    name: [form.limit_s if each is None else each for each in of]
                    for name, of in times.items()
                },
                form,
            )
        last = {
            name: [100 * (each.last(outcome_of(name, outcome)) or 0.5) for each in of]
            for name, of in found.items()
        }
        yield {
            "reached": f"accuracy after {form.limit_s:.0f} s",
            "outcome": outcome,
            **{name: f"{statistics.fmean(of):.2f}" for name, of in last.items()},
            "best peer / tuner": gained(last),
        }


def outcome_of(system: str, outcome: str) -> str:
    """Peers average nothing."""
    return outcome if system == OURS else "single"


def row(
    what: str, outcome: str, times: Mapping[str, Sequence[float]], form: Form
) -> dict[str, object]:
    """Median seconds of each system, and how many times ours the best peer's are."""
    medians = {system: statistics.median(of) for system, of in times.items()}
    return {
        "reached": what,
        "outcome": outcome,
        **{system: in_words(median, form.limit_s) for system, median in medians.items()},
        "best peer / tuner": ratio(times, form.limit_s),
    }


def ratio(times: Mapping[str, Sequence[float]], limit_s: float) -> str:
    """How many times our seconds the best peer's are, by medians, with a 95 % interval over seeds."""

    def of(seeds: Sequence[int]) -> float:
        medians = {
            name: statistics.median(each[seed] for seed in seeds) for name, each in times.items()
        }
        ours = medians.pop(OURS)
        return min(medians.values()) / ours

    ours, *peers = (statistics.median(each) for each in times.values())
    if ours >= limit_s:
        return ""
    sign = ">" if min(peers) >= limit_s else ""
    return f"{sign}{of(range(len(times[OURS]))):.1f}{interval(of, len(times[OURS]), '.1f')}"


def gained(last: Mapping[str, Sequence[float]]) -> str:
    """Points by which ours is right more often than the best peer, with a 95 % interval over seeds."""

    def of(seeds: Sequence[int]) -> float:
        means = {
            name: statistics.fmean(each[seed] for seed in seeds) for name, each in last.items()
        }
        ours = means.pop(OURS)
        return ours - max(means.values())

    n = len(last[OURS])
    return f"{of(range(n)):+.2f} points{interval(of, n, '+.2f')}"


def interval(figure: Callable[[Sequence[int]], float], n: int, form: str) -> str:
    """The middle 95 % of a figure over seeds that are drawn with replacement; empty for fewer than three."""
    if n < 3:
        return ""
    random = np.random.default_rng(0)
    values = [figure([int(each) for each in random.integers(n, size=n)]) for _ in range(_RESAMPLES)]
    low, high = np.quantile(values, (0.025, 0.975))
    return f" ({low:{form}} to {high:{form}})"


def in_words(seconds: float, limit_s: float) -> str:
    """Seconds, or that the limit was too short."""
    return f"{seconds:.0f} s" if seconds < limit_s else f">{limit_s:.0f} s"


def described(searched: Searched, form: Form) -> str:
    """The result of one run, in one line."""
    parts = [f"trains after {searched.started_s:.0f} s"]
    for outcome, course in searched.courses.items():
        if course:
            reached = ", ".join(
                f"{target:.2f} in {in_words(searched.seconds_to(target, outcome) or form.limit_s, form.limit_s)}"
                for target in form.targets
            )
            parts.append(f"{outcome} {reached}, {course[-1][1]:.4f} at the end")
    return "; ".join(parts)
