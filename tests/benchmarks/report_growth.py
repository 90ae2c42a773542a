"""How long a report takes and how large it is, by the trials in the study.

Toy trials, which train nothing, written straight into a study: random configurations of `space.yaml`, one trial in
twenty broken. A report is made in a process of its own, from its start to the file. `page_s` is the time until
Chromium has opened it and drawn what is on the first screen, `scroll_ms` the longest that it then stood still while
a person scrolled through it; both empty where there is no Chromium.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
from benchmark_io import options, show

from tuner.errors import TrialError
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.search.opening import create_or_open_study
from tuner.search.study import SearchStudy
from tuner.settings.config import PrunerName, SamplerName
from tuner.settings.objectives import make_objectives
from tuner.settings.space import SearchSpace
from tuner.training.spec import TrialSpec
from tuner.training.toy import ToyTraining

SPACE = Path(__file__).with_name("space.yaml")
TRIALS = (100, 1000, 10_000)
BROKEN = 20
CHROMIUM = Path("/usr/bin/chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
SCROLLING = """async () => {
    let worst = 0, last = performance.now();
    const end = document.body.scrollHeight;
    for (let y = 0; y < end; y += 150) {
        scrollTo({top: y, behavior: "instant"});
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        worst = Math.max(worst, now - last);
        last = now;
    }
    return worst;
}"""


def main() -> None:
    asked = options(__doc__)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for trials in TRIALS:
            run = Path(folder) / f"toy-{trials}"
            make_run(run, trials)
            rows.append({"trials": trials, **measure(run)})
    show("report_growth", rows, asked.out)


def make_run(folder: Path, trials: int) -> None:
    """A run folder with a study of so many toy trials."""
    space = SearchSpace.from_file(SPACE)
    settings = {"seed": 0, "sampler": SamplerName.RANDOM, "workers": 1}
    in_journal = create_or_open_study(
        folder / "study.journal",
        space,
        pruner=PrunerName.HALVING,
        max_epochs=space.max_epochs,
        objectives=make_objectives(space.metric, None),
        **settings,
    )
    # In memory first: the journal waits for the disk at every epoch.
    in_memory = optuna.create_study(direction="maximize", pruner=in_journal.study.pruner)
    study = SearchStudy(in_memory, space, **settings)
    for number in range(trials):
        trial = study.ask()
        spec = TrialSpec(number, space.suggest(trial), seed=number, max_epochs=space.max_epochs)
        fault = {"TUNER_TOY_FAULTS": f"{number}:fail" if number % BROKEN == BROKEN - 1 else ""}
        training = ToyTraining(spec, environment=fault)
        host = f"node-{number % 4}"
        study.record_facts(trial, TrialFacts(number, host, training.device, training.weights))
        status, error = TrialStatus.COMPLETE, None
        try:
            for epoch in training.epochs():
                metrics = {name: value for name, value in vars(epoch).items() if name != "epoch"}
                if study.report(trial, epoch.epoch, metrics):
                    status = TrialStatus.PRUNED
                    break
        except TrialError as failure:
            status, error = TrialStatus.FAILED, str(failure)
        study.finish(trial, status, error)
    in_journal.study.add_trials(in_memory.get_trials(deepcopy=False))


def measure(run: Path) -> dict[str, float]:
    """The figures of one report."""
    page = run / "report.html"
    started = time.perf_counter()
    command = [sys.executable, "-c", "from tuner.cli import main; main()", "report", str(run)]
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    return {"report_s": seconds, "report_mb": page.stat().st_size / 1e6, **look(page)}


def look(page: Path) -> dict[str, float]:
    """How it behaves in a browser."""
    if not CHROMIUM.exists():
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        started = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("#board tbody tr")
        seconds = time.perf_counter() - started
        worst = tab.evaluate(SCROLLING)
        browser.close()
    return {"page_s": seconds, "scroll_ms": worst}


if __name__ == "__main__":
    main()
