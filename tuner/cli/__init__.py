"""The commands: parse, call, print. No logic.

The topmost room: it may import every other one, but nothing heavy at module level. No other room may import it.
"""

import io
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import typer

from tuner.cli import (
    confirm,
    dashboard,
    data,
    doctor,
    export,
    fetch,
    leaderboard,
    pack,
    predict,
    report,
    search,
    spaces,
    status,
    stop,
    submit,
    test,
    train,
    watch,
)
from tuner.cli.commands import Command, Commands, end_without_reader
from tuner.cli.parser_errors import in_our_words
from tuner.errors import SearchError, TunerError, UsageError
from tuner.execution.interrupts import Interrupted, StopRequested
from tuner.output import is_of_lost_terminal
from tuner.text import one_line
from tuner.training.keras_internals import import_keras_without_scikit_learn
from tuner.urls import without_secrets

app = typer.Typer(
    name="tuner",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("search", cls=Command)(search.search)
app.command("status", cls=Command)(status.status)
app.command("watch", cls=Command)(watch.watch)
app.command("dashboard", cls=Command)(dashboard.dashboard)
app.command("stop", cls=Command)(stop.stop)
app.command("submit", cls=Command)(submit.submit)
app.command("fetch", cls=Command)(fetch.fetch)
app.command("pack", cls=Command, hidden=True)(pack.pack)
app.command("confirm", cls=Command)(confirm.confirm)
app.command("test", cls=Command)(test.evaluate_test_split)
app.command("export", cls=Command)(export.export)
app.command("predict", cls=predict.PredictCommand)(predict.predict)
app.command("train", cls=Command)(train.train)
app.command("leaderboard", cls=Command)(leaderboard.leaderboard)
app.command("report", cls=Command)(report.report)
app.command("spaces", cls=Command)(spaces.spaces)
app.command("data", cls=Command)(data.data)
app.command("doctor", cls=Command)(doctor.doctor)


@app.callback(invoke_without_command=True)
def tuner(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """Find good LSTM-family classifiers for your sequences. Optuna decides, Ray Tune executes, Keras trains.

    Begin with `tuner search quickstart`, then run `tuner leaderboard runs/quickstart-imdb-train`.
    """
    if version:
        from importlib.metadata import version as installed

        print(f"tuner {installed('sequence-tuner')}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def main() -> None:
    """Runs the command line; errors of ours are one line on standard error.

    Exit codes: 0 done, 1 the search had to stop, 2 the request cannot be met, 129, 130 and 143 interrupted.
    """
    _open_closed_streams()
    import_keras_without_scikit_learn()
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # what the terminal cannot show becomes an escape sequence
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False, prog_name="tuner")
        sys.stdout.flush()  # or a short output would fail only after this
    except typer.exceptions.TyperException as error:
        _refuse(in_our_words(error))
    except typer.Abort:
        sys.exit(130)
    except SearchError as error:
        _refuse(str(error), code=1)
    except UsageError as error:
        _refuse(error.in_flags)
    except TunerError as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        print("tuner: interrupted", file=sys.stderr)
        sys.exit(130)
    except Interrupted as interrupted:
        print("tuner: stopped before the first trial", file=sys.stderr)
        sys.exit(128 + interrupted.signal_number)
    except StopRequested:
        print("tuner: stopped before the first trial", file=sys.stderr)
        sys.exit(0)
    except BrokenPipeError:
        end_without_reader()
    except OSError as error:
        if is_of_lost_terminal(error):  # SIGHUP came with that
            sys.exit(128 + signal.SIGHUP)
        _refuse(str(error), code=1)  # a full or a failing disk, say
    sys.exit(code if isinstance(code, int) else 0)


def _open_closed_streams() -> None:
    """Opens standard streams that were closed (`>&-`), or files of a run would get their numbers, and their output."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - as long as the process
            if stream.fileno() != number:  # the parent has given the number to something else
                os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)


def _refuse(message: str, code: int = 2) -> NoReturn:
    with suppress(OSError):  # the reader may have gone
        print(f"tuner: {without_secrets(one_line(message))}", file=sys.stderr)
    sys.exit(code)
