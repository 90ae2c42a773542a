"""Whether a row's figures came out again, to the last digit, and what was different about the machine where not."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from tuner.run.run_file import installed_versions
from tuner.training.single.configurations import Configuration, Row
from tuner.training.single.training import Trained

# What decides a figure; of the other packages another version changes nothing.
_DECIDING = ("python", "sequence-tuner", "keras", "tensorflow", "numpy")


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was."""

    what: str
    here: object
    there: object


def different_figures(configuration: Configuration, trained: Trained) -> list[Difference]:
    """Which of best epoch, score, accuracy and loss are not the row's; or how it ended, where that differs."""
    row = configuration.row
    assert row is not None
    return [each for each in _figures(configuration, row, trained) if each.here != each.there]


def _figures(configuration: Configuration, row: Row, trained: Trained) -> Iterator[Difference]:
    record = row.record
    here = "complete" if trained.status.has_worked else str(trained.status)
    there = "complete" if record.status.has_worked else str(record.status)
    yield Difference("status", here, there)
    yield Difference("best epoch", trained.best.epoch if trained.best else None, record.best_epoch)
    best = record.curve.get(record.best_epoch or 0, {})
    for name in dict.fromkeys((str(configuration.metric.name), "val_accuracy", "val_loss")):
        yield Difference(name, getattr(trained.best, name, None), best.get(name))


def different_circumstances(configuration: Configuration, trained: Trained) -> list[Difference]:
    """What is not as it was when the row was trained: the machine, its share of it, the versions."""
    row = configuration.row
    assert row is not None
    versions = installed_versions()
    found = [
        Difference("machine", socket.gethostname(), row.record.host),
        Difference("device", trained.device, row.record.device),
        Difference("threads", max(1, int(configuration.cpus)), max(1, int(row.cpus))),
        *(Difference(name, versions.get(name), row.versions.get(name)) for name in _DECIDING),
    ]
    return [
        each for each in found if each.here != each.there and None not in (each.here, each.there)
    ]
