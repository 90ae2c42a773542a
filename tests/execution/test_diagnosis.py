"""The diagnosis of a process' death."""

from support.watching import Clock

from tuner.execution.diagnosis import Diagnosis, Diagnostician

DIED = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task."


class Machine:
    """A clock, and the kernel's count of its kills."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.kills = 5  # long ago

    def diagnostician(self, *, is_cluster: bool = False) -> Diagnostician:
        return Diagnostician(lambda: self.kills, self.clock, is_cluster=is_cluster)


def test_a_process_that_just_died_may_have_had_bad_luck() -> None:
    diagnosis = Machine().diagnostician().diagnose(DIED)
    assert diagnosis.reason == "its process died; see the run's logs"
    assert not diagnosis.is_out_of_memory


def test_a_process_that_ray_ended_for_its_memory_ran_out_of_it() -> None:
    error = "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory"
    diagnosis = Machine().diagnostician().diagnose(error)
    assert diagnosis.is_out_of_memory
    assert "Ray ended its process" in diagnosis.reason


def test_the_death_of_a_node_is_not_the_trials_fault() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    machine.kills += 1
    error = f"{DIED}\nThe actor died because its node has died. Node Id: ab12"
    assert diagnostician.diagnose(error) == Diagnosis("its node died", is_node_failure=True)
    assert diagnostician.diagnose(DIED).is_out_of_memory  # the kill was another's


def test_a_process_that_cannot_be_reached_is_its_nodes_fault_on_a_cluster_only() -> None:
    error = "The actor ab12 is unavailable: The actor is temporarily unavailable: Socket closed"
    elsewhere = Machine().diagnostician(is_cluster=True).diagnose(error)
    assert elsewhere == Diagnosis("its node could not be reached", is_node_failure=True)
    assert Machine().diagnostician().diagnose(error) == Diagnosis(
        "its process died; see the run's logs"
    )


def test_the_kernel_knows_nothing_of_other_machines() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician(is_cluster=True)
    machine.kills += 1
    assert not diagnostician.diagnose(DIED).is_out_of_memory


def test_two_kills_by_the_kernel_explain_two_deaths() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    machine.kills += 2
    assert [diagnostician.diagnose(DIED).is_out_of_memory for _ in range(3)] == [True, True, False]


def test_a_kill_of_long_ago_explains_nothing() -> None:
    machine = Machine()
    diagnostician = machine.diagnostician()
    machine.kills += 1
    diagnostician.watch()  # another program's process
    machine.clock.now += 11
    assert not diagnostician.diagnose(DIED).is_out_of_memory


def test_another_error_is_shown_by_its_last_line() -> None:
    diagnosis = (
        Machine()
        .diagnostician()
        .diagnose("Traceback …\n  File …\nImportError: no module named x\n")
    )
    assert diagnosis.reason == "its process failed: ImportError: no module named x"


def test_an_error_without_a_text_is_a_death() -> None:
    assert Machine().diagnostician().diagnose("").reason == "its process died; see the run's logs"
