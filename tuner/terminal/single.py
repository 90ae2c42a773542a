"""One training on the terminal: its epochs as they end, and whether a row of a leaderboard was reproduced."""

from collections.abc import Sequence

from tuner.run.device import CPU
from tuner.run.trial_status import TrialStatus
from tuner.text import count_text, number_text, score_text
from tuner.training.devices import thread_count
from tuner.training.single.comparison import Difference, different_circumstances, different_figures
from tuner.training.single.configurations import Configuration
from tuner.training.single.training import Trained
from tuner.training.spec import EpochResult

EPOCH_HEADINGS = "epoch    loss  accuracy  val_loss  val_accuracy  val_f1  seconds"


def beginning(configuration: Configuration) -> list[str]:
    """The configuration that is about to be trained."""
    spec = configuration.spec
    parameters = [
        f"{name}={number_text(value)}" for name, value in configuration.parameters.items()
    ]
    threads = thread_count(configuration.cpus)
    epochs = count_text(configuration.epochs, "epoch")
    if configuration.epochs != spec.max_epochs:
        epochs = f"{configuration.epochs} of at most {count_text(spec.max_epochs, 'epoch')}, as in the row"
    return [
        "  ".join((configuration.title, *parameters)),
        f"{configuration.data.source}, seed {spec.seed}, {count_text(threads, 'thread')}, {epochs}",
    ]


def epoch_line(result: EpochResult) -> str:
    """One epoch's metrics, under `EPOCH_HEADINGS`."""
    return (
        f"{result.epoch:>5}  {result.loss:6.4f}  {result.accuracy:8.4f}  {result.val_loss:8.4f}  "
        f"{result.val_accuracy:12.4f}  {result.val_f1:6.4f}  {result.seconds:7.1f}"
    )


def ending(configuration: Configuration, trained: Trained) -> list[str]:
    """The result; for a row of a leaderboard, also whether its figures were reproduced."""
    lines = []
    if trained.best is not None:
        best = trained.best
        lines.append(
            f"best epoch {best.epoch}: val_accuracy {score_text(best.val_accuracy)}, "
            f"val_loss {score_text(best.val_loss)}, on {trained.device}"
        )
    if trained.status is not TrialStatus.COMPLETE:
        lines.append(f"{trained.status}: {trained.error}")
    return lines if configuration.row is None else [*lines, *_compared(configuration, trained)]


def has_succeeded(configuration: Configuration, trained: Trained) -> bool:
    """Whether the row was reproduced; where there is no row to reproduce, whether the training worked."""
    if configuration.row is not None and configuration.row.is_unchanged:
        return not different_figures(configuration, trained)
    return trained.status is TrialStatus.COMPLETE


def _compared(configuration: Configuration, trained: Trained) -> list[str]:
    assert configuration.row is not None
    figures = different_figures(configuration, trained)
    circumstances = different_circumstances(configuration, trained)
    if not figures:
        lines = [
            "Reproduced: best epoch, val_accuracy and val_loss are the row's, to the last digit."
        ]
    else:
        word = "Not reproduced" if configuration.row.is_unchanged else "Trained with other options"
        lines = [f"{word}: {_listed(figures, 'in the row')}."]
    if circumstances:
        lines.append(f"Changed since then: {_listed(circumstances, 'then')}.")
    elif figures and configuration.row.is_unchanged and trained.device != CPU:
        lines.append(
            "Machine and versions are as they were; on a GPU figures differ in the last digits."
        )
    elif figures and configuration.row.is_unchanged:
        lines.append("Machine and versions are as they were.")
    return lines


def _listed(differences: Sequence[Difference], then: str) -> str:
    return "; ".join(
        f"{each.what} {_text(each.here, each.there)} here, {_text(each.there, each.here)} {then}"
        for each in differences
    )


def _text(value: object, other: object) -> str:
    """A figure with enough digits to distinguish it from the other one."""
    if isinstance(value, float) and isinstance(other, float):
        short = score_text(value)
        return repr(value) if short == score_text(other) else short
    return "none" if value is None else str(value)
