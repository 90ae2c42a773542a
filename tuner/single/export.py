"""The model of one training, in the form that `tuner predict` reads, with a card that claims no more than is known."""

from pathlib import Path

from tuner.data import Dataset, Split
from tuner.finalists.export import Part, write_model
from tuner.run_folder import installed_versions
from tuner.single.configurations import Configuration
from tuner.single.training import Trained


def export_training(
    configuration: Configuration, trained: Trained, dataset: Dataset, command: str, out: Path
) -> Path:
    """Writes the folder `out`, whole or not at all.

    Args:
        command: what was typed, for the card.

    Raises:
        RunFolderError: `out` holds something else.
    """
    assert trained.model is not None
    spec, row = configuration.spec, configuration.row
    part = Part(
        model=trained.model,
        hyperparameters=spec.hyperparameters,
        seed=spec.seed,
        trial=row.record.number if row is not None else None,
    )
    name = Path(row.run).name if row is not None else out.name
    card = _card(configuration, trained, dataset, command)
    return write_model(out, run=name, dataset=dataset, parts=[part], card=card)


def _card(configuration: Configuration, trained: Trained, dataset: Dataset, command: str) -> str:
    """Markdown."""
    best = trained.best
    assert best is not None
    sizes = ", ".join(f"{len(dataset.splits[split]):,} {split}" for split in Split)
    classes = ", ".join(f"`{name}`" for name in dataset.class_names)
    versions = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
    parameters = {"architecture": configuration.spec.hyperparameters.architecture}
    lines = [
        f"# {configuration.title}",
        "",
        f"One model; classifies sequences as one of {classes}. Made by tuner from one training, not confirmed: its "
        "figures are of one seed, on the split that its best epoch was chosen on, so they flatter it. `tuner search` "
        "and `tuner confirm` make figures that can be trusted.",
        "",
        "```python",
        "import tuner",
        "",
        'tuner.load_model("model").predict(["…"])',
        "```",
        "",
        "## Data",
        "",
        f"`{configuration.data.source}` ({sizes}), read as {dataset.token_mode}, fingerprint "
        f"`{dataset.fingerprint[:16]}`.",
        "",
        "## Figures",
        "",
        f"Epoch {best.epoch} of {len(trained.epochs)}, on the validation split: accuracy {best.val_accuracy:.4f}, "
        f"loss {best.val_loss:.4f}, macro F1 {best.val_f1:.4f}.",
        "",
        "## Parameters",
        "",
        *(f"- {key}: {value}" for key, value in {**parameters, **configuration.parameters}.items()),
        f"- seed: {configuration.spec.seed}",
        "",
        "## To make it again",
        "",
        "```sh",
        command,
        "```",
        "",
        f"Versions: {versions}.",
        "",
    ]
    return "\n".join(lines)
