"""Writes an exported model: one model or several averaged, with everything that predicting from raw text needs."""

import os
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuner.data import Dataset, EncodedSequences, Split
from tuner.errors import ConfigError, RunFolderError
from tuner.export.classifier import Classifier
from tuner.export.description import DESCRIPTION, MEMBER, Description, MemberEntry
from tuner.export.formats import ExportFormat, beside
from tuner.files import can_be_made, make_folder, replace_folder, write_atomically
from tuner.output import output_to
from tuner.settings.hyperparameters import Hyperparameters, is_custom, module_of
from tuner.storage import is_url
from tuner.training.devices import import_keras_quietly
from tuner.training.evaluation import mean_probabilities
from tuner.training.linear_model import weights_for_vocabulary
from tuner.training.spec import LinearShape, TrainedModel
from tuner.training.temperature import tempered
from tuner.training.threshold import EVEN

_TOLERANCE = 0.02  # another device, or other kernels, change a probability by about a thousandth


@dataclass(frozen=True, eq=False)
class Member:
    """One of the models whose probabilities are averaged, with its weights."""

    model: TrainedModel
    hyperparameters: Hyperparameters | LinearShape
    seed: int
    trial: int | None  # of the search; None where there was none
    weight: float = 1.0  # in the average, relative to the others'


def model_place(out: str) -> Path:
    """Where a model is to be written.

    Raises:
        ConfigError: it is no path of this machine.
    """
    if is_url(out) or not out:
        raise ConfigError(
            f"--out: must be a folder of this machine, got {out!r}; copy it from there"
        )
    return Path(os.path.expanduser(out))


def check_writable(out: Path) -> None:
    """Refuses a place that no model can be written to.

    Raises:
        RunFolderError: `out` holds something else than a model, or may not be written.
    """
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out}: must be a folder, got a file; choose another --out")
    if out.is_symlink() or out.is_mount() or out.resolve() == Path.cwd():
        raise RunFolderError(
            f"{out}: must be a folder that can be replaced, got a link, a mounted or the current one; choose another "
            "--out"
        )
    if out.exists() and any(out.iterdir()):
        others = sorted(path.name for path in out.iterdir() if not _is_ours(path))
        if others or not (out / DESCRIPTION).is_file():
            found = f" ({others[0]} is in it)" if others else ""
            raise RunFolderError(
                f"{out}: is not empty and no exported model{found}; choose another --out"
            )
    # It is made under another name beside its place, and then takes it.
    if not can_be_made(out):
        raise RunFolderError(f"{out}: cannot be made or written to; choose another --out")


def _is_ours(path: Path) -> bool:
    """Whether an export writes such a file."""
    if path.name == DESCRIPTION:
        try:
            Description.from_json(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError, RunFolderError):
            return False
    return path.name in {DESCRIPTION, "README.md"} or MEMBER.fullmatch(path.name) is not None


def write_model(
    out: Path,
    *,
    run: str,
    dataset: Dataset,
    measured_on: Split,
    members: Sequence[Member],
    card: str,
    formats: Collection[ExportFormat] = (),
    temperature: float = 1.0,
    threshold: float = EVEN,
    all_rows: int | None = None,
    text_column: str | None = None,
) -> Path:
    """Writes the folder `out`, whole or not at all; an earlier model in it is replaced.

    Args:
        run: the name of its run, for people.
        measured_on: the split of the members' probabilities; the written model must reproduce them.
        card: Markdown.
        formats: forms for other programs, beside the `.keras` files.
        temperature: of the probabilities, see `fit_temperature`. In other programs' forms one member has it, the
            programs apply it to the mean of several.
        threshold: of two classes, see `classes_of`; other programs apply it themselves.
        all_rows: see `Description.all_rows`.
        text_column: see `Description.text_column`.

    Raises:
        RunFolderError: `out` holds something else, or the written model does not reproduce its members' predictions.
        ConfigError: it cannot be written in one of `formats`.
    """
    check_writable(out)
    import_keras_quietly()
    members = [_with_all_ids(member, len(dataset.vocabulary)) for member in members]
    from tuner.export.keras_file import save_keras_model

    try:
        make_folder(out.parent)
        folder = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.")
    except OSError as cause:
        raise RunFolderError(
            f"{out}: cannot be made or written to ({cause.strerror}); choose another --out"
        ) from cause
    with folder as temporary:
        made = Path(temporary) / "model"
        made.mkdir()
        entries = []
        for number, member in enumerate(members, start=1):
            entries.append(entry := _entry(f"member-{number}.keras", member))
            with output_to(Path(os.devnull)):  # converters print their progress
                save_keras_model(
                    member.model,
                    member.hyperparameters,
                    n_classes=len(dataset.class_names),
                    path=made / entry.file,
                    temperature=temperature if len(members) == 1 else 1.0,
                    saved_model=beside(made / entry.file, ExportFormat.SAVED_MODEL, formats),
                    tokens=(dataset.vocabulary, dataset.token_mode),
                    onnx=beside(made / entry.file, ExportFormat.ONNX, formats),
                )
        known = max(entry.vocabulary_size for entry in entries)
        description = Description(
            run=run,
            class_names=dataset.class_names,
            token_mode=dataset.token_mode,
            vocabulary=dataset.vocabulary[:known],
            members=tuple(entries),
            temperature=temperature,
            threshold=threshold,
            all_rows=all_rows,
            text_column=text_column,
        )
        write_atomically(made / DESCRIPTION, description.to_json())
        write_atomically(made / "README.md", card)
        _check_predictions(made, dataset.splits[measured_on], members, temperature)
        replace_folder(made, out, Path(temporary) / "replaced")
    return out


def _with_all_ids(member: Member, known: int) -> Member:
    """The member, a linear reference with the weights for a vocabulary of so many ids where they need it."""
    model = member.model
    if not isinstance(member.hyperparameters, LinearShape) or model.vocabulary_size >= known:
        return member
    weights = weights_for_vocabulary(model.weights, known)
    return replace(member, model=replace(model, weights=weights, vocabulary_size=len(weights[0])))


def _entry(file: str, member: Member) -> MemberEntry:
    return MemberEntry(
        file,
        member.trial,
        member.seed,
        member.hyperparameters.max_length,
        member.model.vocabulary_size,
        _module(member.hyperparameters),
        member.weight,
        isinstance(member.hyperparameters, LinearShape),
    )


def _check_predictions(
    made: Path, sequences: EncodedSequences, members: Sequence[Member], temperature: float
) -> None:
    """Checks that the written model, loaded again, reproduces the predictions of its members."""
    try:
        classifier = Classifier(made)
    except RunFolderError as cause:
        reason = str(cause).removeprefix(f"{made}/")
        raise RunFolderError(
            f"no model is written, because it could not be read: {reason}"
        ) from cause
    expected = tempered(average_of(members), temperature)
    difference = float(np.abs(classifier.probabilities_of(sequences) - expected).max())
    if not difference <= _TOLERANCE:  # NaN, too
        raise RunFolderError(
            f"the exported model does not reproduce the measured predictions (probabilities differ by up to "
            f"{difference:.3f}): its architecture's code, or Keras, has changed; restore it, or train again"
        )


def average_of(members: Sequence[Member]) -> NDArray[np.float32]:
    """The probabilities that they were measured by, averaged: `(n, n_classes)`."""
    return mean_probabilities(
        [member.model.probabilities for member in members], [member.weight for member in members]
    )


def _module(hyperparameters: Hyperparameters | LinearShape) -> str | None:
    if isinstance(hyperparameters, LinearShape) or not is_custom(hyperparameters.architecture):
        return None
    return module_of(hyperparameters.architecture)
