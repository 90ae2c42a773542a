"""Runs the user's command when a search is in trouble, for example to send a message to a phone.

It stands in the environment, never in a run folder or a file of settings: these may come from somebody else, and
nothing in them is run. Must not import Ray, Keras or Optuna.
"""

import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "TUNER_ON_TROUBLE"
_LIMIT_S = 60.0


def call_hook(line: str, run: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Has a shell run the command in `TUNER_ON_TROUBLE`, if there is one, and does not wait for it.

    It reads the line on its standard input, and finds it in `TUNER_TROUBLE`, the run folder in `TUNER_RUN`. Its own
    output, and that it failed, go to this process' output: the run's log.
    """
    command = environment.get(VARIABLE)
    if not command:
        return
    text = line.encode(errors="backslashreplace")  # UTF-8, whatever the locale
    variables = {**environment, "TUNER_TROUBLE": text, "TUNER_RUN": str(run)}
    call = threading.Thread(target=_call, args=(command, text, variables), daemon=True)
    call.start()


def _call(command: str, line: bytes, variables: Mapping[str, str | bytes]) -> None:
    try:
        subprocess.run(
            ["/bin/sh", "-c", command],
            input=line + b"\n",
            env=variables,
            timeout=_LIMIT_S,
            check=True,
            start_new_session=True,  # a Ctrl-C is not meant for it
        )
    except (OSError, subprocess.SubprocessError) as error:
        print(f"tuner: {VARIABLE} failed: {_reason(error)}", flush=True)  # noqa: T201 - to the driver's log


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    """Why the command failed, without the command: it may hold a password, and logs are passed on."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end within {_LIMIT_S:g} s"  # `error.timeout` is what was left of it
    return getattr(error, "strerror", None) or type(error).__name__
