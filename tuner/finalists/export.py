"""Writes the model that one can use: a finalist, or several averaged, with all that predicting from raw text takes."""

from collections.abc import Collection
from pathlib import Path

from tuner.data import Split
from tuner.export.formats import ExportFormat, check_possible
from tuner.export.model import Part, check_writable, write_model
from tuner.finalists.card import model_card
from tuner.finalists.choice import Chosen
from tuner.settings.hyperparameters import resolve


def export_model(chosen: Chosen, out: Path, formats: Collection[ExportFormat] = ()) -> Path:
    """Writes the finalists as one model, as `write_model` does.

    Of each finalist the seed that was best on the confirmation split is taken.

    Raises:
        RunFolderError: `out` holds something else, a finalist's model is missing, or the written model does not
            reproduce the predictions that the finalist was confirmed by.
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
        for finalist in chosen.finalists
    ]
    return write_model(
        out,
        run=chosen.run.name,
        dataset=chosen.dataset,
        measured_on=Split.CONFIRMATION,
        parts=parts,
        card=model_card(chosen, formats),
        formats=formats,
    )
