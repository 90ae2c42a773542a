"""Writes the model that one can use: a finalist, or several averaged, with all that predicting from raw text takes."""

import os
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.config import SearchConfig, make_config
from tuner.data import Dataset, load_dataset
from tuner.driver.cluster import make_current_folder_importable
from tuner.driver.output import import_keras_quietly, output_to
from tuner.errors import RunFolderError, UsageError
from tuner.finalists.card import model_card
from tuner.finalists.classifier import DESCRIPTION, Description, Member
from tuner.finalists.formats import ExportFormat, beside, check_possible
from tuner.finalists.ranking import Finalist, read_finalists
from tuner.hyperparameters import Hyperparameters, resolve
from tuner.numbers import count_text
from tuner.run_folder import RunFolder
from tuner.trial.spec import TrainedModel


@dataclass(frozen=True)
class Choice:
    """Which finalists make the model."""

    finalist: int = 1  # its rank in `finalists.csv`
    ensemble: int = 1  # so many from there on, averaged


def chosen_finalists(finalists: Sequence[Finalist], choice: Choice) -> list[Finalist]:
    """Those that `choice` names.

    Raises:
        UsageError: there are not so many.
    """
    first, last = choice.finalist, choice.finalist + choice.ensemble - 1
    if first < 1 or choice.ensemble < 1 or last > len(finalists):
        raise UsageError(
            f"finalist {choice.finalist}, ensemble {choice.ensemble}: this run has "
            f"{count_text(len(finalists), 'finalist')}; ask for some of them, or confirm more"
        )
    return list(finalists[first - 1 : last])


def load_choice(
    run: str, choice: Choice
) -> tuple[RunFolder, SearchConfig, Dataset, list[Finalist]]:
    """The run in the folder at `run`, its settings and data, and the finalists that `choice` names.

    Raises:
        UsageError: no such run, or not so many finalists.
    """
    folder = RunFolder.existing(run)
    config = make_config({}, config_file=folder.run_file)
    dataset = load_dataset(config.data, seed=config.seed)
    return folder, config, dataset, chosen_finalists(read_finalists(folder, dataset), choice)


@dataclass(frozen=True, eq=False)
class Part:
    """One of the models whose probabilities are averaged."""

    model: TrainedModel
    hyperparameters: Hyperparameters
    seed: int
    trial: int | None  # of the search; None where there was none


def export_model(
    folder: RunFolder,
    config: SearchConfig,
    dataset: Dataset,
    finalists: Sequence[Finalist],
    out: Path,
    formats: Collection[ExportFormat] = (),
) -> Path:
    """Writes the finalists as one model, as `write_model` does.

    Of each finalist the seed that was best on the confirmation split is taken.

    Raises:
        RunFolderError: `out` holds something else, or a finalist's model is missing.
        ConfigError: it cannot be written in one of `formats`.
    """
    check_writable(out)
    check_possible(formats)
    parts = [
        Part(
            model=finalist.members[0].model,
            hyperparameters=resolve(finalist.record.architecture, dict(finalist.record.parameters)),
            seed=finalist.members[0].seed,
            trial=finalist.record.number,
        )
        for finalist in finalists
    ]
    card = model_card(folder, config, dataset, finalists, formats)
    return write_model(
        out, run=folder.name, dataset=dataset, parts=parts, card=card, formats=formats
    )


def check_writable(out: Path) -> None:
    """Refuses a place that no model can be written to.

    Raises:
        RunFolderError: `out` holds something else than a model, or may not be written.
    """
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out}: must be a folder, got a file; choose another --out")
    if out.is_symlink() or out.resolve() == Path.cwd():
        raise RunFolderError(
            f"{out}: must be a folder that can be replaced, got a link or the current one; choose another --out"
        )
    if out.exists() and any(out.iterdir()):
        others = sorted(path.name for path in out.iterdir() if not _is_ours(path))
        if others or not (out / DESCRIPTION).is_file():
            found = f" ({others[0]} is in it)" if others else ""
            raise RunFolderError(
                f"{out}: is not empty and no exported model{found}; choose another --out"
            )
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise RunFolderError(f"{out}: cannot be made or written to; choose another --out")


def _is_ours(path: Path) -> bool:
    """Whether an export writes such a file."""
    if path.name == DESCRIPTION:
        try:
            Description.from_json(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError, RunFolderError):
            return False
    return path.name in {DESCRIPTION, "README.md"} or path.name.startswith("member-")


def write_model(
    out: Path,
    *,
    run: str,
    dataset: Dataset,
    parts: Sequence[Part],
    card: str,
    formats: Collection[ExportFormat] = (),
) -> Path:
    """Writes the folder `out`, whole or not at all; what it held before is replaced if it was a model.

    Args:
        run: what it comes from, for people.
        card: Markdown.
        formats: forms for other programs, beside the `.keras` files.

    Raises:
        RunFolderError: `out` holds something else.
        ConfigError: it cannot be written in one of `formats`.
    """
    check_writable(out)
    make_current_folder_importable()  # for an architecture of the user's own
    import_keras_quietly()
    from tuner.trial.rebuild import save_keras_model

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        made = Path(temporary) / "model"
        made.mkdir()
        members = []
        for number, part in enumerate(parts, start=1):
            name = f"member-{number}.keras"
            with output_to(Path(os.devnull)):  # converters tell what they do
                save_keras_model(
                    part.model,
                    part.hyperparameters,
                    n_classes=len(dataset.class_names),
                    path=made / name,
                    saved_model=beside(made / name, ExportFormat.SAVED_MODEL, formats),
                    onnx=beside(made / name, ExportFormat.ONNX, formats),
                )
            members.append(
                Member(
                    name,
                    part.trial,
                    part.seed,
                    part.hyperparameters.max_length,
                    part.model.vocabulary_size,
                )
            )
        known = max(member.vocabulary_size for member in members)
        description = Description(
            run=run,
            class_names=dataset.class_names,
            token_mode=dataset.token_mode,
            vocabulary=dataset.vocabulary[:known],
            members=tuple(members),
        )
        (made / DESCRIPTION).write_text(description.to_json(), encoding="utf-8")
        (made / "README.md").write_text(card, encoding="utf-8")
        if out.exists():
            os.rename(out, Path(temporary) / "replaced")
        os.rename(made, out)
    return out
