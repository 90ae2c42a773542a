"""The head of a running cluster, reached through Ray's job server: every command is a job there."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from tuner.errors import ConfigError, RunFolderError
from tuner.execution import ray_internals
from tuner.execution.cluster_token import check_token
from tuner.execution.fetching import unpack
from tuner.execution.marked_output import Answer, MarkedLines, marking_command, read_answer
from tuner.extras import Extra, require
from tuner.text import one_line, short_reason

_POLL_S = 0.5
_FOLLOW_S = 2.0
_FOLLOW_SHARE = 0.1  # of the time may be spent on fetching a log, which is sent whole each time
_TRIES = 5  # of a question to the job server


class JobHead:
    """See `tuner.execution.head.Head`.

    The job server accepts clients that present the cluster's token, from `~/.ray/auth_token` or `RAY_AUTH_TOKEN`.

    Args:
        address: of the cluster's dashboard, `http://HOST:8265`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        require(Extra.CLUSTER, f"--address {address}")
        try:
            from ray.job_submission import JobSubmissionClient

            # Its messages about packing and authentication are of no use here.
            logging.getLogger("ray").setLevel(logging.ERROR)
            check_token(address)
            ray_internals.present_token_if_there_is_one()
            self._client: Any = JobSubmissionClient(address)
        except ConfigError:
            raise
        except Exception as cause:  # unreachable, refused, not a dashboard: Ray raises many kinds
            raise self._error("no job server answers", cause) from cause

    def capture(self, arguments: Sequence[str]) -> Answer:
        """See `Head`."""
        job = self._submit(marking_command(arguments), f"tuner-{arguments[0]}-{_unique()}")
        while not self._ask("get_job_status", job).is_terminal():
            time.sleep(_POLL_S)
        answer = read_answer(self._ask("get_job_logs", job))
        if answer is None:
            info = self._ask("get_job_info", job)
            raise self._error("the command did not run", info.message or "")
        with suppress(Exception):
            self._client.delete_job(job)
        return answer

    def stream(self, arguments: Sequence[str], show: Callable[[str], None]) -> int:
        """See `Head`."""
        marked = MarkedLines(show)
        job = self._submit(marking_command(arguments), f"tuner-{arguments[0]}-{_unique()}")
        self.follow(job, marked.add)
        code = marked.exit_code()
        if code is None:
            raise self._error("the command did not run", marked.last_unmarked)
        return code

    def fetch(self, run: str, folder: Path) -> None:
        """See `Head`."""

        def ask(after: str) -> str:
            answer = self.capture(["pack", run, *([f"--after={after}"] if after else [])])
            if answer.code:
                raise RunFolderError(one_line(answer.output.removeprefix("tuner: ")))
            return answer.output

        unpack(ask, folder)

    def submit(
        self, entrypoint: str, *, name: str, working_dir: Path, environment: Mapping[str, str]
    ) -> str:
        """Starts a job that does not depend on this process; returns its id."""
        job = f"tuner-{name}-{_unique()}"
        return self._submit(entrypoint, job, working_dir=str(working_dir), env_vars=environment)

    def follow(self, job: str, show: Callable[[str], None]) -> bool:
        """Passes a job's lines on until it ends; returns whether it succeeded.

        The logs are asked for again and again: following them ends early
        (https://github.com/ray-project/ray/issues/51601).
        """
        shown = 0
        while True:
            asked_at = time.monotonic()
            status = self._ask("get_job_status", job)
            logs = self._ask("get_job_logs", job)
            took_s = time.monotonic() - asked_at
            whole = len(logs) if status.is_terminal() else logs.rfind("\n") + 1
            for line in logs[shown:whole].splitlines():
                show(line)
            shown = whole
            if status.is_terminal():
                return str(status) == "SUCCEEDED"
            time.sleep(max(_FOLLOW_S, took_s / _FOLLOW_SHARE))

    def _ask(self, question: str, job: str) -> Any:
        """The job server's answer, asked for again while the server restarts or the connection is lost.

        Raises:
            ConfigError: it does not answer.
        """
        for attempt in range(_TRIES):
            try:
                return getattr(self._client, question)(job)
            except Exception as cause:
                if attempt == _TRIES - 1:
                    reason = short_reason(cause)
                    raise ConfigError(
                        f"--address {self._address}: does not answer any more ({reason}); "
                        f"job {job} continues"
                    ) from cause
                time.sleep(2.0**attempt)
        raise AssertionError("unreachable")

    def _submit(self, entrypoint: str, job: str, **runtime_env: Any) -> str:
        try:
            submitted: str = self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=job,
                runtime_env=runtime_env,
                entrypoint_num_cpus=0,
            )
        except Exception as cause:
            raise self._error("refused the job", cause) from cause
        return submitted

    def _error(self, what: str, reason: object) -> ConfigError:
        return ConfigError(f"--address {self._address}: {what}: {short_reason(reason)}")


def _unique() -> str:
    return f"{time.strftime('%H%M%S')}-{uuid4().hex[:4]}"
