"""A trial's status: whether it is broken, ranked, or has worked."""

from tuner.run.trial_status import TrialStatus


def test_every_status_is_broken_has_worked_or_is_running() -> None:
    broken = {status for status in TrialStatus if status.is_broken}
    worked = {status for status in TrialStatus if status.has_worked}
    assert broken == {TrialStatus.FAILED, TrialStatus.DIVERGED, TrialStatus.OUT_OF_MEMORY}
    assert worked == {TrialStatus.COMPLETE, TrialStatus.PRUNED}
    assert set(TrialStatus) - broken - worked == {TrialStatus.RUNNING}


def test_every_trial_that_is_not_broken_is_ranked() -> None:
    assert {status for status in TrialStatus if status.is_ranked} == {
        *(TrialStatus.COMPLETE, TrialStatus.PRUNED, TrialStatus.RUNNING)
    }
