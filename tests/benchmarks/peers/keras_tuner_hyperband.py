"""Peer: KerasTuner's Hyperband as its guides teach it.

A `HyperModel` whose `build` makes the model and whose `fit` chooses how it is trained, architectures in conditional
scopes, one trial after the other with TensorFlow's own threads on all cores.
"""

from itertools import count
from typing import Any

import keras
import keras_tuner
from task import MAX_EPOCHS, Job, build, fit, load_reviews, read_space

ITERATIONS = 100  # "as high a value as is within your resource budget", says its documentation


class Classifier(keras_tuner.HyperModel):
    """The space of `space.yaml` and how a member of it is trained."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._reviews = load_reviews(job.data)
        self._numbers = count()

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The model that `hp` stands for."""
        return build(parameters(hp))

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains it for as many epochs as Hyperband gives it."""
        values = parameters(hp)
        keeps = self._job.keeps_incumbents(next(self._numbers), values)
        return fit(model, values, self._reviews, [keeps, *kwargs.pop("callbacks")], **kwargs)


def parameters(hp: keras_tuner.HyperParameters) -> dict[str, Any]:
    """The space in KerasTuner's terms: the architecture, and the parameters that it has."""
    shared, architectures = read_space()
    architecture = hp.Choice("architecture", list(architectures))
    values = {"architecture": architecture}
    for name, given in shared.items():
        values[name] = declare(hp, name, given)
    for owner, own in architectures.items():
        with hp.conditional_scope("architecture", [owner]):
            for name, given in own.items():
                value = declare(hp, name, given)
                if owner == architecture:
                    values[name] = value
    return values


def declare(hp: keras_tuner.HyperParameters, name: str, given: dict[str, Any]) -> Any:
    """The value of one parameter; None outside its scope."""
    if "choice" in given:
        return hp.Choice(name, given["choice"])
    sampling = "log" if given.get("log") else "linear"
    if "int" in given:
        return hp.Int(name, *given["int"], sampling=sampling)
    return hp.Float(name, *given["float"], sampling=sampling)


def main() -> None:
    """Searches until it is ended."""
    job = Job.from_command_line()
    keras.utils.set_random_seed(job.seed)
    tuner = keras_tuner.Hyperband(
        Classifier(job),
        objective="val_accuracy",
        max_epochs=MAX_EPOCHS,
        factor=3,
        hyperband_iterations=ITERATIONS,
        seed=job.seed,
        directory=job.scratch,
        project_name="hyperband",
    )
    tuner.search(verbose=0)


if __name__ == "__main__":
    main()
