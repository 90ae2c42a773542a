"""Writes the model that one can use: one, or several averaged, with all that predicting from raw text takes."""

from collections.abc import Collection
from pathlib import Path

from tuner.data import Split
from tuner.export.formats import ExportFormat, check_possible
from tuner.export.model import Part, average_of, check_writable, write_model
from tuner.finalists.card import model_card
from tuner.finalists.choice import Chosen
from tuner.finalists.kept_reference import rows_of
from tuner.training.spec import LinearShape
from tuner.training.temperature import fit_temperature, tempered
from tuner.training.threshold import fit_threshold


def export_model(chosen: Chosen, out: Path, formats: Collection[ExportFormat] = ()) -> Path:
    """Writes the chosen models as one, as `write_model` does.

    Raises:
        RunFolderError: `out` holds something else, a model is missing, or the written model does not reproduce the
            predictions that it was measured by.
        ConfigError: it cannot be written in one of `formats`.
    """
    check_writable(out)
    check_possible(formats)
    parts = [
        Part(
            model=member.model,
            hyperparameters=chosen.config.space.hyperparameters(
                record.architecture, record.parameters
            ),
            seed=member.seed,
            trial=record.number,
        )
        for record, member in chosen.members
    ]
    if chosen.reference is not None:
        # The others have the rest of the average, in equal parts.
        share = chosen.reference.weight
        weight = len(parts) * share / (1 - share) if parts else 1.0
        learned = rows_of(chosen.dataset, chosen.reference.train_on)
        shape = LinearShape(max_length=int(learned.lengths.max()))
        parts.append(Part(chosen.reference.model, shape, seed=0, trial=None, weight=weight))
    mean = average_of(parts)
    labels = chosen.dataset.splits[Split.CONFIRMATION].labels
    temperature = fit_temperature(mean, labels)
    threshold = chosen.choice.threshold or fit_threshold(
        tempered(mean, temperature),
        labels,
        chosen.dataset.clusters_of(Split.CONFIRMATION),
        chosen.config.space.metric,
    )
    return write_model(
        out,
        run=chosen.run.name,
        dataset=chosen.dataset,
        measured_on=Split.CONFIRMATION,
        parts=parts,
        card=model_card(chosen, formats, temperature, threshold),
        formats=formats,
        temperature=temperature,
        threshold=threshold,
    )
