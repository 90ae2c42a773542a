"""A run with finalists from real training, for tests to test and export."""

from collections.abc import Sequence
from pathlib import Path

from support.searches import write_sentences

from tuner.data import Dataset, EncodedSequences, load_dataset
from tuner.execution.search import run_search
from tuner.export.classifier import Classifier
from tuner.finalists.choice import Chosen
from tuner.finalists.confirmation import run_confirmation
from tuner.finalists.export import export_model
from tuner.finalists.finalist import Finalist
from tuner.finalists.model_choice import ModelChoice
from tuner.finalists.ranking import read_finalists
from tuner.finalists.request import Request, confirmation_config
from tuner.run import Run
from tuner.run.events import SilentListener
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.space import SearchSpace


def make_confirmed_run(folder: Path) -> None:
    """Two finalists of two seeds each, from real training on easy sentences: `folder`/mine."""
    source = write_sentences(folder)
    space = SearchSpace.from_mapping(
        {
            "name": "small",
            "max_epochs": 2,
            "shared": {"lstm_units": {"int": [4, 8]}, "learning_rate": 0.02},
            "architectures": {"lstm": {}, "cnn_lstm": {"filters": {"int": [4, 8]}}},
        },
        "small.yaml",
    )
    config = make_config(
        {
            "space": space,
            "data": {"source": str(source)},
            "out": str(folder),
            "name": "mine",
            "trials": 3,
            "max_concurrent": 1,  # one process that imports TensorFlow, not two
        }
    )
    run_search(config)
    run = RunFolder(folder / "mine")
    asked = confirmation_config(run, {})
    run_confirmation(Run(run.path), Request(top=2, seeds=2), asked, SilentListener())


class Confirmed:
    """A run that was made by `make_confirmed_run`, or a copy of it."""

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)
        self.config: SearchConfig = make_config(
            {"out": str(path.parent), "name": path.name}, config_file=self.folder.run_file
        )
        self.run = Run(path)
        self.dataset: Dataset = load_dataset(self.config.data)
        self.finalists = read_finalists(self.run, self.dataset)

    def chosen(self, finalists: Sequence[Finalist] | None = None) -> Chosen:
        """The best finalist, or others."""
        chosen = finalists or self.finalists[:1]
        choice = ModelChoice(ensemble=len(chosen))
        return Chosen(self.run, self.config, self.dataset, chosen, choice, better_since=None)

    def export(self, out: Path, finalists: Sequence[Finalist] | None = None) -> Classifier:
        """The model that `tuner export` makes of them, loaded."""
        return Classifier(export_model(self.chosen(finalists), out))

    def texts(self, sequences: EncodedSequences) -> list[str]:
        """The sequences as typed text; unknown words stay unknown."""
        starts, ends = sequences.offsets[:-1] + 1, sequences.offsets[1:]
        return [
            " ".join(
                "neverseen" if token < 3 else self.dataset.vocabulary[token]
                for token in sequences.tokens[start:end]
            )
            for start, end in zip(starts, ends, strict=True)
        ]
