"""How often the incumbents of a search are right on reviews that chose nothing: measured when it has ended.

    python tests/benchmarks/peers/accuracies.py JOB

Replaces each line of the job's log by its seconds, outcome and accuracy, in `log` with the suffix `.json`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ours import LINEAR
from task import Job, Reviews, reviews_of

from tuner.data import Dataset, Split, load_dataset
from tuner.export.classifier import Classifier
from tuner.export.model import Member, write_model
from tuner.run import Run
from tuner.settings.data import DataConfig
from tuner.training.spec import LinearShape
from tuner.training.trained_model_file import from_bytes

Model = Mapping[str, Any]  # as the log has it


class Peers:
    """Keras models as a peer has saved them."""

    def __init__(self, job: Job) -> None:
        self._reviews: Reviews = reviews_of(job.data, "test")
        self.labels = self._reviews.labels

    def probabilities_of(self, model: Model) -> NDArray[np.float64]:
        """Of the second class, `(n_reviews,)`."""
        import keras

        cut = {name: model[name] for name in ("max_length", "vocabulary_size")}
        answers = keras.saving.load_model(model["path"]).predict(
            self._reviews.padded(**cut), batch_size=256, verbose=0
        )
        return np.asarray(answers, np.float64)[:, 0]


class Ours:
    """Models as the run folder has them."""

    def __init__(self, job: Job) -> None:
        self._dataset: Dataset = load_dataset(DataConfig(source=job.texts))
        self._scratch = Path(job.scratch)
        self.labels = self._dataset.splits[Split.TEST].labels

    def probabilities_of(self, model: Model) -> NDArray[np.float64]:
        """Of the second class, `(n_reviews,)`."""
        path = Path(model["path"])
        member = self._part(model, path)
        out = self._scratch / f"{path.stem}-exported"
        write_model(
            out,
            run="ours",
            dataset=self._dataset,
            measured_on=Split.CONFIRMATION,
            members=[member],
            card="",
        )
        sequences = self._dataset.splits[Split.TEST]
        return Classifier(out).probabilities_of(sequences)[:, 1].astype(np.float64)

    def _part(self, model: Model, path: Path) -> Member:
        trained = from_bytes(path.read_bytes(), str(path))
        if model["trial"] == LINEAR:
            longest = int(self._dataset.splits[Split.TRAIN].lengths.max())
            return Member(trained, LinearShape(longest), seed=0, trial=None)
        run = Run(self._scratch / "ours")
        record = run.reader.records()[model["trial"]]
        hyperparameters = run.space.hyperparameters(record.architecture, record.parameters)
        return Member(trained, hyperparameters, seed=record.seed or 0, trial=record.number)


def main() -> None:
    """Measures the incumbents of one job."""
    job = Job.from_command_line()
    log = Path(job.log)
    noted = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    noted = [line for line in noted if line["seconds"] <= job.limit_s]
    is_ours = any("trial" in each for line in noted for each in line.get("single", ()))
    is_ours |= any("averaged" in line for line in noted)
    models = Ours(job) if is_ours else Peers(job)
    answers: dict[str, NDArray[np.float64]] = {}

    def accuracy(members: Sequence[Model]) -> float:
        mean = np.zeros(len(models.labels))
        for member in members:
            if member["path"] not in answers:
                answers[member["path"]] = models.probabilities_of(member)
            mean += member["weight"] * answers[member["path"]]
        return float(((mean > 0.5) == models.labels).mean())

    courses: dict[str, list[tuple[float, float]]] = {"single": [], "averaged": []}
    for line in noted:
        for outcome, course in courses.items():
            if outcome in line and all(Path(each["path"]).is_file() for each in line[outcome]):
                course.append((line["seconds"], accuracy(line[outcome])))
    started = min((line["seconds"] for line in noted if "started" in line), default=None)
    content = json.dumps({"started": started, **courses})
    log.with_suffix(".json").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
