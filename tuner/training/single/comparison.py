"""Whether a training reproduced a row's figures to the last digit, and which circumstances differ where it did not."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from tuner.run.device import without_share
from tuner.run.run_file import installed_versions
from tuner.training.devices import thread_count
from tuner.training.own_code import code_of
from tuner.training.single.configurations import Configuration, Row
from tuner.training.single.training import Trained

# The packages whose version can change a figure.
_DECIDING = ("python", "sequence-tuner", "backend", "keras", "tensorflow", "jax", "torch", "numpy")


@dataclass(frozen=True)
class Difference:
    """A figure or a circumstance that differs from the row's."""

    what: str
    here: object
    there: object


def different_figures(configuration: Configuration, trained: Trained) -> list[Difference]:
    """The figures (status, best epoch, score, accuracy, loss) that differ from the row's."""
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
    """The circumstances that differ from when the row was trained: the machine, the share of it, the versions."""
    row = configuration.row
    assert row is not None
    versions = installed_versions()
    architecture = row.record.architecture
    found = [
        Difference("machine", socket.gethostname(), row.record.host),
        Difference(
            "device", trained.device, row.record.device and without_share(row.record.device)
        ),
        Difference("threads", thread_count(configuration.cpus), thread_count(row.cpus)),
        Difference("code", code_of([architecture]).get(architecture), row.record.code),
        *(Difference(name, versions.get(name), row.versions.get(name)) for name in _DECIDING),
    ]
    return [
        each for each in found if each.here != each.there and None not in (each.here, each.there)
    ]
