"""Exports the model of one training; its card states that the figures are of one seed and not confirmed."""

from pathlib import Path

from tuner.data import Dataset, Split
from tuner.export.card import Card, class_list, parameter_lines
from tuner.export.model import Member, write_model
from tuner.run.run_file import installed_versions
from tuner.training.single.configurations import Configuration
from tuner.training.single.training import Trained


def export_training(
    configuration: Configuration, trained: Trained, dataset: Dataset, command: str, out: Path
) -> Path:
    """Writes the folder `out`, whole or not at all.

    Args:
        command: the command that trained it, for the card.

    Raises:
        RunFolderError: `out` holds something else.
    """
    assert trained.model is not None
    spec, row = configuration.spec, configuration.row
    member = Member(
        model=trained.model,
        hyperparameters=spec.hyperparameters,
        seed=spec.seed,
        trial=row.record.number if row is not None else None,
    )
    name = Path(row.run).name if row is not None else out.name
    card = _card(configuration, trained, dataset, command)
    return write_model(
        out,
        run=name,
        dataset=dataset,
        measured_on=Split.VALIDATION,
        members=[member],
        card=card,
        text_column=configuration.data.text_column,
    )


def _card(configuration: Configuration, trained: Trained, dataset: Dataset, command: str) -> str:
    best, spec = trained.best, configuration.spec
    assert best is not None
    validated_by = "validation split"
    if spec.part:
        validated_by = f"rows of the training split that validated the trial (part {spec.part})"
    figures = (
        f"Epoch {best.epoch} of {len(trained.epochs)}, on the {validated_by}: accuracy {best.val_accuracy:.4f}, "
        f"loss {best.val_loss:.4f}, macro F1 {best.val_f1:.4f}."
    )
    parameters = {
        "architecture": spec.hyperparameters.architecture,
        **configuration.parameters,
        "seed": spec.seed,
    }
    return Card(
        title=configuration.title,
        introduction=f"One model; classifies sequences as {class_list(dataset.class_names)}. Made by tuner from one "
        "training, not confirmed: its figures are of one seed, on the split that its best epoch was chosen on, so they "
        "flatter it. `tuner search` and `tuner confirm` make figures that can be trusted.",
        dataset=dataset,
        source=configuration.data.source,
        sections={"Figures": [figures], "Parameters": parameter_lines(parameters)},
        commands=[command],
        versions=installed_versions(),
    ).markdown()
