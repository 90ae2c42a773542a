"""Writes the model that one can use: a finalist, or several averaged, with all that predicting from raw text takes."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.config import SearchConfig, make_config
from tuner.data import Dataset, load_dataset
from tuner.driver.output import import_keras_quietly
from tuner.errors import RunFolderError, UsageError
from tuner.finalists.card import model_card
from tuner.finalists.classifier import DESCRIPTION, Description, Member
from tuner.finalists.ranking import Finalist, read_finalists
from tuner.hyperparameters import resolve
from tuner.run_folder import RunFolder


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
            f"--finalist {choice.finalist} --ensemble {choice.ensemble}: this run has {len(finalists)} finalists; "
            "ask for some of them, or confirm more"
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


def export_model(
    folder: RunFolder,
    config: SearchConfig,
    dataset: Dataset,
    finalists: Sequence[Finalist],
    out: Path,
) -> Path:
    """Writes the folder `out`, whole or not at all; what it held before is replaced if it was a model.

    Of each finalist the seed that was best on the confirmation split is taken.

    Raises:
        RunFolderError: `out` holds something else, or a finalist's model is missing.
    """
    import_keras_quietly()
    from tuner.trial.rebuild import save_keras_model

    if out.exists() and not (out / DESCRIPTION).is_file() and any(out.iterdir()):
        raise RunFolderError(f"{out}: is not empty and no exported model; choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        made = Path(temporary) / "model"
        made.mkdir()
        members = []
        for number, finalist in enumerate(finalists, start=1):
            best = finalist.members[0]
            hyperparameters = resolve(
                finalist.record.architecture, dict(finalist.record.parameters)
            )
            name = f"member-{number}.keras"
            save_keras_model(
                best.model, hyperparameters, n_classes=len(dataset.class_names), path=made / name
            )
            members.append(
                Member(
                    name,
                    finalist.record.number,
                    best.seed,
                    hyperparameters.max_length,
                    best.model.vocabulary_size,
                )
            )
        known = max(member.vocabulary_size for member in members)
        description = Description(
            run=folder.name,
            class_names=dataset.class_names,
            token_mode=dataset.token_mode,
            vocabulary=dataset.vocabulary[:known],
            members=tuple(members),
        )
        (made / DESCRIPTION).write_text(description.to_json(), encoding="utf-8")
        card = model_card(folder, config, dataset, finalists)
        (made / "README.md").write_text(card, encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        os.rename(made, out)
    return out
