"""Writes the model that one can use: one, or several averaged, with all that predicting from raw text takes."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from tuner.data import Split
from tuner.export.formats import ExportFormat, check_possible
from tuner.export.model import Member, average_of, check_writable, write_model
from tuner.finalists.all_rows import AllRows
from tuner.finalists.card import model_card
from tuner.finalists.choice import Chosen
from tuner.run.train_on import rows_of
from tuner.training.spec import LinearShape
from tuner.training.temperature import fit_temperature, tempered
from tuner.training.threshold import fit_threshold


def check_exportable(out: Path, formats: Collection[ExportFormat] = ()) -> None:
    """Refuses a place or a format that cannot be written, before anything is trained.

    Raises:
        RunFolderError: `out` holds something else, or may not be written.
        ConfigError: it cannot be written in one of `formats`.
    """
    check_writable(out)
    check_possible(formats)


def export_model(
    chosen: Chosen,
    out: Path,
    formats: Collection[ExportFormat] = (),
    all_rows: AllRows | None = None,
) -> Path:
    """Writes the chosen models as one, as `write_model` does.

    Args:
        all_rows: the same models trained on all rows, to be written in their place. Weights in the average,
            temperature and threshold are those of the measured models.

    Raises:
        RunFolderError: `out` holds something else, a model is missing, or the written model does not reproduce the
            predictions that it was measured by.
        ConfigError: it cannot be written in one of `formats`.
    """
    check_exportable(out, formats)
    members = [
        Member(
            model=file.model,
            hyperparameters=chosen.config.space.hyperparameters(
                record.architecture, record.parameters
            ),
            seed=file.seed,
            trial=record.number,
        )
        for record, file in chosen.members
    ]
    if chosen.reference is not None:
        # The others have the rest of the average, in equal parts.
        share = chosen.reference.weight
        weight = len(members) * share / (1 - share) if members else 1.0
        learned = rows_of(chosen.dataset, chosen.reference.train_on)
        shape = LinearShape(max_length=int(learned.lengths.max()))
        members.append(Member(chosen.reference.model, shape, seed=0, trial=None, weight=weight))
    mean = average_of(members)
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
        members=members if all_rows is None else _retrained(members, all_rows),
        card=model_card(chosen, formats, temperature, threshold, all_rows),
        formats=formats,
        temperature=temperature,
        threshold=threshold,
        all_rows=None if all_rows is None else all_rows.rows,
        text_column=chosen.config.data.text_column,
    )


def _retrained(members: Sequence[Member], all_rows: AllRows) -> list[Member]:
    """The same members with the models that were trained on all rows."""
    reference = [] if all_rows.reference is None else [all_rows.reference]
    shape = LinearShape(max_length=all_rows.longest)
    return [
        replace(
            member,
            model=model,
            hyperparameters=shape
            if isinstance(member.hyperparameters, LinearShape)
            else member.hyperparameters,
        )
        for member, model in zip(members, [*all_rows.models, *reference], strict=True)
    ]
