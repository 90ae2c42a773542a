"""How much each part of `search_spaces/imdb.yaml` contributes: its first baseline, with one thing changed at a time.

`base` is that baseline without adversarial noise and n-grams, trained with two seeds. All learn from the training split
and are scored after their last epoch on validation and confirmation split together; the test split is not used. A
difference is to the mean of the base's seeds, with the standard error that pairing by review gives; it does not hold
what another seed would add. `ensemble` averages the probabilities of the variants with noise of 0.02, 0.03 and 0.05.
"""

import multiprocessing
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmark_io import options, show
from numpy.typing import NDArray
from tutorial import silence_tensorflow

from tuner.data import EncodedSequences, Split, load_dataset
from tuner.settings.builtin import find_space
from tuner.settings.data import DataConfig
from tuner.settings.hyperparameters import ARCHITECTURES, resolve
from tuner.training.devices import configure_device
from tuner.training.spec import TrialSpec

SHORT_SAMPLE = 6_000
EPOCHS = 3
PROCESSES = 2
NOISY = ("noise .02", "noise .03", "noise .05")


@dataclass(frozen=True)
class Variant:
    """The base with some settings changed."""

    name: str
    changes: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0


FULL = (
    Variant("base"),
    Variant("base", seed=1),
    Variant("noise .02", {"adversarial_noise": 0.02}),
    Variant("noise .03", {"adversarial_noise": 0.03}, seed=1),
    Variant("noise .05", {"adversarial_noise": 0.05}),
    Variant("noise .1", {"adversarial_noise": 0.1}),
    Variant("5,000 words", {"vocabulary_size": 5000}),
    Variant("constant rate", {"schedule": "constant", "warmup": 0.0}),
    Variant("no convolution", {"architecture": "bilstm", "lstm_units": 64, "pooling": "max_mean"}),
    Variant("no dropout", {"spatial_dropout": 0.0, "output_dropout": 0.0}),
    Variant("last step", {"pooling": "last"}),
    Variant("n-grams", {"ngrams": 2}),
)
SHORT = tuple(v for v in FULL if v.name in ("base", "noise .03"))


def main() -> None:
    """Trains the variants that are not there yet, two at a time, and shows the table."""
    given = options(__doc__)
    sample = None if given.full else SHORT_SAMPLE
    folder = given.out / f"imdb_ablation-{'all' if sample is None else sample}"
    folder.mkdir(parents=True, exist_ok=True)
    variants = FULL if given.full else SHORT
    load_dataset(DataConfig(sample=sample))  # so that no process has to encode the reviews
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_prepare) as pool:
        tasks = [(variant, sample, folder) for variant in variants]
        for name in pool.map(_train, *zip(*tasks, strict=True)):
            sys.stderr.write(f"{name}\n")
    show("imdb_ablation", summary(variants, sample, folder), given.out)


def summary(
    variants: tuple[Variant, ...], sample: int | None, folder: Path
) -> list[dict[str, object]]:
    """One row per variant; accuracy in per cent, differences in points."""
    labels = _splits(sample)[1].labels
    probabilities = {(v.name, v.seed): np.load(_file(folder, v)) for v in variants}
    hits = {key: (given > 0.5) == labels for key, given in probabilities.items()}
    base = np.mean([hit for (name, _), hit in hits.items() if name == "base"], axis=0)
    rows = [_row(name, seed, hit, base) for (name, seed), hit in hits.items()]
    noisy = [given for (name, _), given in probabilities.items() if name in NOISY]
    if len(noisy) == len(NOISY):
        rows.append(_row("ensemble", None, (np.mean(noisy, axis=0) > 0.5) == labels, base))
    return rows


def _row(
    name: str, seed: int | None, hit: NDArray[np.bool_], base: NDArray[np.float64]
) -> dict[str, object]:
    difference = 100 * (hit - base)
    return {
        "variant": name,
        "seed": "" if seed is None else seed,
        "accuracy": 100 * hit.mean(),
        "difference": difference.mean(),
        "standard_error": difference.std() / np.sqrt(len(hit)),
    }


def _train(variant: Variant, sample: int | None, folder: Path) -> str:
    """Leaves the variant's probabilities of the positive class, `(n_held_out,)` float32."""
    file = _file(folder, variant)
    if file.is_file():
        return f"{file} is there"
    from tuner.training.evaluation import predict
    from tuner.training.trial import Training

    settings = {**find_space("imdb").to_mapping()["shared"], **find_space("imdb").baselines[0]}
    settings |= {"adversarial_noise": 0.0, "ngrams": 0, **variant.changes}
    architecture = str(settings.pop("architecture"))
    taken = ARCHITECTURES[architecture].parameters
    hyperparameters = resolve(architecture, {k: v for k, v in settings.items() if k in taken})
    training, held_out = _splits(sample)
    trial = Training(
        TrialSpec(0, hyperparameters, variant.seed, EPOCHS),
        train=training,
        validation=held_out,
        n_classes=2,
    )
    last = list(trial.epochs())[-1]
    known = int(trial.model.get_layer("embedding").input_dim)
    view = held_out.view(vocabulary_size=known, max_length=hyperparameters.max_length)
    np.save(file, predict(trial.model, view, n_classes=2)[:, 1])
    return f"{variant.name}, seed {variant.seed}: {100 * last.val_accuracy:.2f} %"


def _splits(sample: int | None) -> tuple[EncodedSequences, EncodedSequences]:
    """The sequences to learn from, and those to score on."""
    splits = load_dataset(DataConfig(sample=sample)).splits
    first, second = splits[Split.VALIDATION], splits[Split.CONFIRMATION]
    held_out = EncodedSequences(
        np.concatenate([first.tokens, second.tokens]),
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
        np.concatenate([first.labels, second.labels]),
    )
    return splits[Split.TRAIN], held_out


def _file(folder: Path, variant: Variant) -> Path:
    name = variant.name.replace(" ", "-").replace(".", "0.").replace(",", "")
    return folder / f"{name}-{variant.seed}.npy"


def _prepare() -> None:
    silence_tensorflow()
    configure_device(cpus=1, gpus=0)


if __name__ == "__main__":
    main()
