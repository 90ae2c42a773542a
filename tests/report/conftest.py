"""Run folders to report on, made without training, and one browser for all tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.run_files import SCRIPT, MakeRun, write_finalists, write_run_file, write_tests
from support.studies import metrics, open_study

from tuner.report.reading import Reading, read_run
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.settings.config import SamplerName
from tuner.settings.objectives import Cost
from tuner.settings.space import SearchSpace

CHROMIUM = Path("/usr/bin/chromium")
# Playwright itself gives the browser a fresh folder; nothing in it contacts a server.
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture
def make_run(tmp_path: Path, space: SearchSpace) -> MakeRun:
    """Makes a run folder with a trial for each list of accuracies by epoch; None is a trial that failed."""
    return _runs_in(tmp_path, space)


@pytest.fixture
def some(make_run: MakeRun) -> Reading:
    """A run of 24 trials of up to three epochs; every eighth is pruned after its first, one failed."""
    return _some(make_run)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, space: SearchSpace) -> Reading:
    """The same run, confirmed and tested, once for a module."""
    folder = _some(_runs_in(tmp_path_factory.mktemp("whole"), space)).folder
    write_run_file(folder)
    write_finalists(folder, (3, 0.85, False), (5, 0.84, True))
    write_tests(folder)
    return read_run(Run(folder.path), "mine")


def _runs_in(parent: Path, own_space: SearchSpace) -> MakeRun:
    def make(
        *trials: tuple[float, ...] | None,
        name: str = "mine",
        space: SearchSpace = own_space,
        error: str = "it broke",
        host: str = "h",
        pruned: frozenset[int] = frozenset(),
        cost: Cost | None = None,
    ) -> RunFolder:
        folder = RunFolder(parent / name)
        # At random: what a sampler that learns would draw from so few values is no part of these tests.
        study = open_study(folder.journal, space, sampler=SamplerName.RANDOM, cost=cost)
        for number, accuracies in enumerate(trials):
            trial = study.ask()
            space.suggest(trial)
            study.record_facts(trial, TrialFacts(7, host, "cpu", 1000 + number))
            for epoch, accuracy in enumerate(accuracies or (), start=1):
                study.report(trial, epoch, metrics(accuracy))
            if accuracies is None:
                study.finish(trial, TrialStatus.FAILED, error)
            else:
                is_pruned = number in pruned
                study.finish(trial, TrialStatus.PRUNED if is_pruned else TrialStatus.COMPLETE)
        study.record_seconds(60.0)
        return folder

    return make


def _some(make_run: MakeRun) -> Reading:
    trials: list[tuple[float, ...] | None] = [
        (0.5 + number / 100,) if number % 8 == 7 else (0.5, 0.52, 0.55 + number / 100)
        for number in range(24)
    ]
    trials[4] = None
    return read_run(Run(make_run(*trials, pruned=frozenset(range(7, 24, 8))).path), "mine")


@pytest.fixture
def hostile(make_run: MakeRun) -> RunFolder:
    """A run in which every text of users' data is a script."""
    space = SearchSpace.from_mapping(
        {
            "name": "hostile",
            "description": f"</script>{SCRIPT}",
            "max_epochs": 3,
            "shared": {"learning_rate": {"float": [1e-4, 1e-2], "log": True}},
            "architectures": {
                "tuner.training.toy:curve": {
                    "flavour": {"choice": [SCRIPT, "<b>bold</b>", "&lt;"]}
                },
                "lstm": {},
            },
        },
        "hostile.yaml",
    )
    trials = [*((0.5, 0.6 + number / 100) for number in range(12)), None]
    folder = make_run(*trials, name="hostile", space=space, error=SCRIPT, host=SCRIPT)
    write_run_file(folder, data={"source": f"{SCRIPT}.csv", "label_column": SCRIPT})
    write_tests(folder, (SCRIPT, "<b>good</b>"))
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    if not CHROMIUM.exists():
        pytest.skip("no /usr/bin/chromium; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()
