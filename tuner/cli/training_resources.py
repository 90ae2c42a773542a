"""Options about what trains, which `tuner search` and `tuner confirm` share."""

from typing import Annotated

import typer

CpusPerTrial = Annotated[float | None, typer.Option(help="CPUs a trial; default 1.")]
GpusPerTrial = Annotated[
    str | None,
    typer.Option(
        help="GPUs a trial, fractions allowed, or auto: as many trials as fit; default 0."
    ),
]
MaxConcurrent = Annotated[
    int | None, typer.Option(help="Most trials at once; default as many as fit.")
]
