"""The settings as keywords, for type checkers and editors; `tuner.api` shows the same at run time.

Written by `python -m tuner.cli.generated_files` from the declarations; change them there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class KeywordsOfSearch(TypedDict, total=False):
    """Keywords of `tuner.search`."""

    data: str | Path | None
    text_column: str | None
    label_column: str | None
    group_column: str | None
    encoding: str | None
    tokens: Literal["words", "characters", "symbols"] | None
    sample: int | None
    data_seed: int | None
    leave_out_rare: bool | None
    vectors: str | Path | None
    name: str | None
    out: str | Path | None
    trials: int | None
    time_budget: str | float | None
    max_epochs: int | None
    patience: int | str | None
    stop_when_flat: bool | None
    cpus_per_trial: float | None
    gpus_per_trial: float | str | None
    mps: Literal["auto", "off"] | None
    max_concurrent: int | None
    storage_path: str | Path | None
    retries: int | None
    epoch_timeout: str | float | None
    rotate_validation: bool | None
    seed: int | None
    sampler: Literal["mixed", "tpe", "random"] | None
    accept_changed_code: bool | None
    learn_from: str | Path | Sequence[str | Path] | None
    objectives: str | Sequence[str] | None
    pruner: Literal["halving", "hyperband", "none"] | None
    ensemble: int | str | None
    no_reference: bool | None
    tensorboard: bool | None
    mlflow: str | Path | None
    address: str | None


class KeywordsOfConfirm(TypedDict, total=False):
    """Keywords of `tuner.confirm`."""

    top: int | None
    seeds: int | None
    train_on: Literal["train", "train+validation"] | None
    margin: float | None
    cpus_per_trial: float | None
    gpus_per_trial: float | str | None
    mps: Literal["auto", "off"] | None
    max_concurrent: int | None
    storage_path: str | Path | None
    accept_changed_code: bool | None
    address: str | None
    data: str | Path | None
    vectors: str | Path | None


class KeywordsOfTest(TypedDict, total=False):
    """Keywords of `tuner.test`."""

    finalist: int | None
    ensemble: int | None
    members: Literal["finalists", "seeds", "trials", "reference"] | None
    with_reference: bool | None
    threshold: float | None
    no_reference: bool | None
    data: str | Path | None
    text_column: str | None
    label_column: str | None
    encoding: str | None


class KeywordsOfExport(TypedDict, total=False):
    """Keywords of `tuner.export`."""

    finalist: int | None
    ensemble: int | None
    members: Literal["finalists", "seeds", "trials", "reference"] | None
    with_reference: bool | None
    threshold: float | None
    all_rows: bool | None
    cpus: float | None
    gpus: float | str | None
