"""Reviews per second, for the four models of a well-known Keras tutorial: tuner against the tutorial itself.

tuner: two trials of the model at once, one CPU each. The tutorial: its own `fit` on reviews padded to 500 tokens, alone
on the machine, with TensorFlow's default threads. Both get the same reviews, vocabulary, batch size and epochs, and no
GPU. An epoch's time holds training and validation; in tuner also the making of batches, which the tutorial does before.
The first epoch, in which TensorFlow traces its graphs, does not count. Both ways take turns, always in new processes.
`epoch_s` are the machine's seconds for an epoch of 25,000 training reviews: one of two trials at once takes twice that.

A trial of tuner begins with steps that read the last 100 tokens of each review (`length_warmup`). They are over within
the first epoch.

`throughput_limit` sets the plain `lstm` against its arithmetic: the LSTM's products on the reviews' own tokens, no
padding, three times the forward pass for training and once for validation, at the speed at which the same two cores do
one step's product, 64x132 by 132x400 in float32, and nothing else.
"""

import multiprocessing
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import numpy as np
import tutorial
from benchmark_io import options, show

from tuner.training.spec import TrialSpec


@dataclass(frozen=True)
class Form:
    """How much is measured."""

    sample: int  # of the 25,000 reviews; seven in ten are trained on, one in ten validates
    repetitions: int


SHORT = Form(sample=4_000, repetitions=1)
FULL = Form(sample=4_000, repetitions=3)
EPOCHS = 3  # the first does not count
TRIALS_AT_ONCE = 2
WAIT_S = 900.0  # for the other process to be ready
STEP = (64, 32 + 100, 4 * 100)  # batch, what goes into a step, its four gates
_BLAS_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

Result = TypeVar("Result")
_barrier: Barrier  # in a measuring process: where it waits for the others


@dataclass(frozen=True)
class Measured:
    """The figures of all repetitions, per model: seconds of every epoch that counts; and operations per second."""

    tutorial_s: dict[str, list[float]]
    tuner_s: dict[str, list[float]]  # both trials'
    product_rate: float  # of as many cores as there are trials at once


def main() -> None:
    """Measures, shows and writes both tables."""
    asked = options(__doc__)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    form = FULL if asked.full else SHORT
    tutorial.load(form.sample)  # so that no measuring process has to encode the reviews
    report(form, measure(form), asked.out)


def measure(form: Form) -> Measured:
    """Runs every model both ways, in turns."""
    tutorial_s, tuner_s = defaultdict(list), defaultdict(list)
    rates = []
    for repetition in range(form.repetitions):
        with one_blas_thread():
            rates.append(sum(at_once(TRIALS_AT_ONCE, product_rate)))
        for model in tutorial.MODELS:
            started = time.perf_counter()
            for seconds in at_once(1, tutorial_epochs, model, form, repetition):
                tutorial_s[model] += seconds
            with one_blas_thread():
                for seconds in at_once(TRIALS_AT_ONCE, tuner_epochs, model, form, repetition):
                    tuner_s[model] += seconds
            took = time.perf_counter() - started
            sys.stderr.write(f"repetition {repetition + 1}, {model}: {took:.0f} s\n")
    return Measured(tutorial_s, tuner_s, max(rates))


def report(form: Form, measured: Measured, out: Path) -> None:
    """Shows both tables."""
    n_train = len(tutorial.load(form.sample)[0])
    rows = []
    for model in tutorial.MODELS:
        theirs = n_train / statistics.median(measured.tutorial_s[model])
        ours = TRIALS_AT_ONCE * n_train / statistics.median(measured.tuner_s[model])
        rows.append(
            {
                "model": model,
                "tutorial_per_s": theirs,
                "tuner_per_s": ours,
                "ratio": ours / theirs,
                "tutorial_epoch_s": tutorial.ALL_REVIEWS / theirs,
                "tuner_epoch_s": tutorial.ALL_REVIEWS / ours,
            }
        )
    show("throughput", rows, out)
    epoch_s = next(row["tuner_epoch_s"] for row in rows if row["model"] == "lstm")
    operations = lstm_operations(form)
    limit_s = operations / measured.product_rate
    row = {
        "model": "lstm",
        "operations": operations,
        "gflop_per_s": measured.product_rate / 1e9,
        "limit_epoch_s": limit_s,
        "tuner_epoch_s": epoch_s,
        "times_limit": epoch_s / limit_s,
    }
    show("throughput_limit", [row], out)


def lstm_operations(form: Form) -> float:
    """Floating point operations of the LSTM's products in an epoch of 25,000 training reviews, with validation."""
    train, validation = (tutorial.clipped(split) for split in tutorial.load(form.sample))
    passes = 3 * train.lengths.sum() + validation.lengths.sum()  # forward passes' worth, in tokens
    _, width, gates = STEP
    return float(passes * 2 * width * gates * (tutorial.ALL_REVIEWS / len(train)))


def at_once(count: int, measurement: Callable[..., Result], *arguments: object) -> list[Result]:
    """The results of `measurement(place, *arguments)` in `count` new processes."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count, timeout=WAIT_S)
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_keep, initargs=(barrier,)
    ) as pool:
        running = [pool.submit(measurement, place, *arguments) for place in range(count)]
        return [each.result() for each in running]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Processes started inside give NumPy one thread, as Ray does for a trial of one CPU."""
    before = {name: os.environ.get(name) for name in _BLAS_THREADS}
    os.environ.update(dict.fromkeys(_BLAS_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def tutorial_epochs(place: int, model: str, form: Form, repetition: int) -> list[float]:
    """Seconds of the tutorial's epochs after the first."""
    train, validation = tutorial.load(form.sample)
    epochs = tutorial.fit(model, train=train, validation=validation, seed=repetition, epochs=EPOCHS)
    return [epoch.seconds for epoch in epochs[1:]]


def tuner_epochs(place: int, model: str, form: Form, repetition: int) -> list[float]:
    """Seconds of one trial's epochs after the first; all trials begin the second one together."""
    from tuner.training.devices import configure_device

    configure_device(cpus=1, gpus=0)
    from tuner.training.trial import Training

    train, validation = tutorial.load(form.sample)
    seed = repetition * TRIALS_AT_ONCE + place
    spec = TrialSpec(place, tutorial.tuner_settings(model), seed, EPOCHS)
    epochs = Training(spec, train=train, validation=validation, n_classes=2).epochs()
    next(epochs)
    _barrier.wait()
    return [epoch.seconds for epoch in epochs]


def product_rate(place: int, rounds: int = 200, products: int = 100) -> float:
    """Floating point operations per second of one LSTM step's matrix product, one thread, best of all rounds."""
    batch, width, gates = STEP
    rng = np.random.default_rng(0)
    step = rng.random((batch, width), np.float32)
    weights = rng.random((width, gates), np.float32)
    product = np.empty((batch, gates), np.float32)
    _barrier.wait()
    best_s = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(products):
            np.matmul(step, weights, out=product)
        best_s = min(best_s, time.perf_counter() - started)
    return 2 * batch * width * gates * products / best_s


def _keep(barrier: Barrier) -> None:
    global _barrier
    tutorial.silence_tensorflow()
    _barrier = barrier


if __name__ == "__main__":
    main()
