"""Searches and confirmations of one run on several machines, which share its copy on S3."""

from pathlib import Path

import boto3
import pytest

from tuner.data import load_dataset
from tuner.execution.search import run_search
from tuner.finalists.confirmation import run_confirmation
from tuner.finalists.ranking import read_finalists
from tuner.finalists.request import Request, confirmation_config
from tuner.run import Run
from tuner.run.events import SilentListener
from tuner.run.folder import RunFolder
from tuner.run.lease import LEASE
from tuner.run.sessions import SessionEnd
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace
from tuner.storage import Storage


@pytest.fixture
def bucket(aws: None) -> str:
    boto3.client("s3").create_bucket(Bucket="tuner")
    return "s3://tuner/runs"


@pytest.mark.slow
def test_a_search_on_s3_goes_on_on_another_machine(
    without_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def search(machine: str, trials: int) -> tuple[SessionEnd, list[int]]:
        monkeypatch.setenv("TUNER_CACHE", str(tmp_path / machine))
        outcome = run_search(
            SearchConfig.model_validate(
                {
                    "space": space,
                    "data": {"source": str(sentences)},
                    "out": bucket,
                    "name": "mine",
                    "trainer": "toy",
                    "trials": trials,
                }
            )
        )
        return outcome.reason, sorted(outcome.run.leaderboard()["trial"])

    assert search("first", 4) == (SessionEnd.BUDGET_USED, [0, 1, 2, 3])
    assert search("second", 4)[0] is SessionEnd.BUDGET_WAS_USED
    assert search("second", 6) == (SessionEnd.BUDGET_USED, [0, 1, 2, 3, 4, 5])
    assert search("first", 7) == (SessionEnd.BUDGET_USED, [0, 1, 2, 3, 4, 5, 6])
    copy = Storage(f"{bucket}/mine")
    assert copy.read("leaderboard.csv").count(b"\n") == 1 + 7
    home = Run(RunFolder.existing(f"{bucket}/mine").path)
    assert home.ensemble is not None
    assert home.ensemble.left_out == ()
    members = sorted(f"trials/trial-{member}.npz" for member in home.ensemble.members)
    kept = copy.names("trials")
    assert set(members) <= set(kept)
    assert kept == sorted(f"trials/{path.name}" for path in home.files.trial_models.iterdir())
    assert copy.read(LEASE) is None


@pytest.mark.slow
def test_a_confirmation_of_a_run_on_s3_is_copied_with_its_models(
    without_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "first"))
    data = {"source": str(sentences)}
    asked = {"space": space, "data": data, "out": bucket, "name": "mine", "trainer": "toy"}
    config = SearchConfig.model_validate({**asked, "trials": 4})
    run_search(config)
    folder = RunFolder.existing(f"{bucket}/mine")
    run_confirmation(
        Run(folder.path), Request(top=2, seeds=1), confirmation_config(folder, {}), SilentListener()
    )
    copy = Storage(f"{bucket}/mine")
    models = sorted(path.name for path in folder.finalist_models.iterdir())
    assert len(models) == 2
    assert copy.names("finalists") == [f"finalists/{name}" for name in models]
    assert copy.read("finalists.csv") == folder.finalists.read_bytes()
    assert copy.read(LEASE) is None
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "second"))
    assert run_search(config).reason is SessionEnd.BUDGET_WAS_USED  # takes the copy up
    there = RunFolder.existing(f"{bucket}/mine")
    assert there.path != folder.path
    dataset = load_dataset(config.data)
    taken = [each.record.number for each in read_finalists(Run(there.path), dataset)]
    assert taken == [each.record.number for each in read_finalists(Run(folder.path), dataset)]
