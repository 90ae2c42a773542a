"""The run folder: the names of its files, and where runs lie.

Each file has a module of its own beside this one, such as `run_file`, `journal`, `leaderboard` or `evaluations`. Must
not import Ray, Keras or Optuna.
"""

import difflib
import hashlib
import os
from pathlib import Path

from tuner.errors import RunFolderError
from tuner.files import lock_owner
from tuner.settings.places import working_copy
from tuner.storage import is_url

RUN_FILE = "run.yaml"  # also of a search that is sent to a cluster, before it has a run folder
# Beside TensorBoard's event files: the trials whose files are whole. The others are written anew by the next session.
TENSORBOARD_WRITTEN = "written.txt"


class RunFolder:
    """The paths of one run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return os.path.basename(os.path.abspath(self.path))  # a person may stand in it: `.`

    @property
    def run_file(self) -> Path:
        return self.path / RUN_FILE

    @property
    def journal(self) -> Path:
        return self.path / "study.journal"

    @property
    def leaderboard(self) -> Path:
        return self.path / "leaderboard.csv"

    @property
    def curves(self) -> Path:
        return self.path / "curves.csv"

    @property
    def finalists(self) -> Path:
        return self.path / "finalists.csv"

    @property
    def tests(self) -> Path:
        """The test log: every test evaluation of this run."""
        return self.path / "tests.yaml"

    @property
    def test_classes(self) -> Path:
        """The folder of tables with the figures of every class, one per test evaluation of many classes."""
        return self.path / "tests"

    @property
    def report(self) -> Path:
        """The page that `tuner report` writes."""
        return self.path / "report.html"

    @property
    def model(self) -> Path:
        """The folder that `tuner export` writes."""
        return self.path / "model"

    def finalist_model(self, trial: int, seed: int) -> Path:
        """The model of a finalist that was trained with `seed`."""
        return self.finalist_models / f"trial-{trial}-seed-{seed}.npz"

    @property
    def finalist_models(self) -> Path:
        """The folder of these models."""
        return self.path / "finalists"

    def trial_model(self, trial: int) -> Path:
        """The model of one of the search's best trials."""
        return self.trial_models / f"trial-{trial}.npz"

    @property
    def trial_models(self) -> Path:
        """The folder of these models."""
        return self.path / "trials"

    @property
    def all_rows_models(self) -> Path:
        """The folder of models that `tuner export --all-rows` has trained: to go on by, and not copied elsewhere."""
        return self.path / "all-rows"

    @property
    def reference(self) -> Path:
        """The linear reference: its model, and its probabilities on the confirmation split."""
        return self.path / "reference.npz"

    @property
    def reference_of_both(self) -> Path:
        """That of finalists which learn from the training and the validation split."""
        return self.finalist_models / "reference.npz"

    @property
    def result_files(self) -> tuple[Path, ...]:
        """What a copy of the run has; the journal comes last, so that a copy that has it has the others, too."""
        return (
            self.run_file,
            self.leaderboard,
            self.curves,
            self.finalists,
            self.tests,
            self.reference,
            *sorted(self.test_classes.glob("*.csv")),
            *sorted(self.finalist_models.glob("*.npz")),
            *sorted(self.trial_models.glob("*.npz")),
            self.journal,
        )

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, one folder per trial."""
        return self.path / "tensorboard"

    @property
    def study_id(self) -> str:
        """A digest of the journal's first line, which differs between studies of the same name, too."""
        with open(self.journal, "rb") as journal:
            return hashlib.sha256(journal.readline()).hexdigest()[:16]

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def leaderboard_note(self) -> Path:
        """The note of how far into the journal a long leaderboard reaches: see `tuner.run.leaderboard_snapshot`."""
        return self.logs / "leaderboard.json"

    @property
    def troubles(self) -> Path:
        """Failing writes that the search survives: see `tuner.run.troubles`."""
        return self.logs / "troubles.json"

    @property
    def epoch_parts(self) -> Path:
        """How far the running trials are in their epochs: see `tuner.run.epoch_parts`."""
        return self.logs / "epochs.json"

    @property
    def lock_file(self) -> Path:
        return self.logs / "lock"

    @property
    def lease(self) -> Path:
        """The lease of the search in this folder, for hosts that do not see the lock: see `tuner.run.lock`."""
        return self.logs / "searching"

    @property
    def stop_request(self) -> Path:
        """While this file exists, it asks the search in this folder to end."""
        return self.logs / "stop"

    def check_no_links(self) -> None:
        """Refuses links in place of what is written in place: a folder from somebody else could aim them anywhere.

        Raises:
            RunFolderError: there is one.
        """
        folders = (
            self.logs,
            self.finalist_models,
            self.trial_models,
            self.all_rows_models,
            self.test_classes,
            self.tensorboard,
        )
        inside = self.logs.glob("*") if not self.logs.is_symlink() else ()
        files = (self.journal, self.tensorboard / TENSORBOARD_WRITTEN)
        for path in (*files, *folders, *inside):
            if path.is_symlink():
                raise RunFolderError(f"{path}: is a link; put the file or folder itself there")

    @property
    def of_processes(self) -> frozenset[Path]:
        """Files that mean something to processes of this machine alone."""
        names = ("tests.lock", self.troubles.name, self.epoch_parts.name)
        of_search = (self.lock_file, self.lease, self.stop_request)
        return frozenset({*of_search, *(self.logs / name for name in names)})

    @classmethod
    def existing(cls, path: Path | str, *, may_be_starting: bool = False) -> "RunFolder":
        """The run folder at `path`.

        Args:
            may_be_starting: whether one counts whose search has written nothing yet.

        Raises:
            RunFolderError: there is none.
        """
        # Of a run behind a URL, what lies here is its working copy.
        folder = cls(
            working_copy(str(path)) if is_url(str(path)) else Path(os.path.expanduser(path))
        )
        if not os.path.isdir(folder.path):
            raise RunFolderError(f"{path}: no such run folder; {runs_near(folder.path)}")
        folder.check_no_links()
        if not folder.journal.is_file() and lock_owner(folder.lock_file) is not None:
            if may_be_starting:
                return folder
            raise RunFolderError(
                f"{path}: a search is just starting in it; try again in a few seconds"
            )
        if not folder.journal.is_file():
            raise RunFolderError(
                f"{path}: not a run folder (no {folder.journal.name} in it); {runs_near(folder.path)}"
            )
        return folder


def runs_near(path: Path) -> str:
    """A suggestion in place of `path`, which is no run folder: the runs beside it and those in `runs`."""
    for folder in dict.fromkeys((Path("runs"), path.parent, path)):
        if not os.path.isdir(folder):
            continue
        runs = {journal.parent.name: journal.parent for journal in folder.glob("*/study.journal")}
        near = difflib.get_close_matches(path.name, runs, n=1)
        if near:
            return f"did you mean {runs[near[0]]}?"
        if runs:
            return f"write one of {', '.join(str(runs[name]) for name in sorted(runs)[:5])}"
    return "`tuner search` makes one"
