"""Why processes died."""

from tuner.execution.deaths import Death, Inquest

DIED = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task."


class Machine:
    """A clock, and the kernel's count of its kills."""

    def __init__(self) -> None:
        self.now = 50.0
        self.kills = 5  # long ago

    def inquest(self, *, is_cluster: bool = False) -> Inquest:
        return Inquest(lambda: self.kills, lambda: self.now, is_cluster=is_cluster)


def test_a_process_that_just_died_may_have_had_bad_luck() -> None:
    death = Machine().inquest().why(DIED)
    assert death.reason == "its process died; see the run's logs"
    assert not death.is_out_of_memory


def test_one_that_ray_ended_for_its_memory_took_too_much() -> None:
    error = "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory"
    death = Machine().inquest().why(error)
    assert death.is_out_of_memory
    assert "Ray ended its process" in death.reason


def test_the_death_of_a_node_is_no_fault_of_the_trial() -> None:
    machine = Machine()
    inquest = machine.inquest()
    machine.kills += 1
    error = f"{DIED}\nThe actor died because its node has died. Node Id: ab12"
    assert inquest.why(error) == Death("its node died", is_the_nodes=True)
    assert inquest.why(DIED).is_out_of_memory  # the kill was another's


def test_a_process_that_cannot_be_reached_is_its_nodes_fault_on_a_cluster_only() -> None:
    error = "The actor ab12 is unavailable: The actor is temporarily unavailable: Socket closed"
    elsewhere = Machine().inquest(is_cluster=True).why(error)
    assert elsewhere == Death("its node could not be reached", is_the_nodes=True)
    assert Machine().inquest().why(error) == Death("its process died; see the run's logs")


def test_the_kernel_tells_nothing_of_other_machines() -> None:
    machine = Machine()
    inquest = machine.inquest(is_cluster=True)
    machine.kills += 1
    assert not inquest.why(DIED).is_out_of_memory


def test_two_kills_by_the_kernel_explain_two_deaths() -> None:
    machine = Machine()
    inquest = machine.inquest()
    machine.kills += 2
    assert [inquest.why(DIED).is_out_of_memory for _ in range(3)] == [True, True, False]


def test_a_kill_of_long_ago_explains_nothing() -> None:
    machine = Machine()
    inquest = machine.inquest()
    machine.kills += 1
    inquest.watch()  # somebody else's process
    machine.now += 11
    assert not inquest.why(DIED).is_out_of_memory


def test_another_error_is_told_by_its_last_line() -> None:
    death = Machine().inquest().why("Traceback …\n  File …\nImportError: no module named x\n")
    assert death.reason == "its process failed: ImportError: no module named x"


def test_an_error_that_nobody_wrote_down_is_a_death() -> None:
    assert Machine().inquest().why("").reason == "its process died; see the run's logs"
