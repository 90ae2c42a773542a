"""Nodes whose failures are their own: which trials are kept off them, and when."""

from tuner.execution.faulty_nodes import FaultyNodes, Node, label_selector
from tuner.execution.packing import Resources

A, B, C = (Node(name, f"10.0.0.{n}", f"host-{name}", {"CPU": 4}) for n, name in enumerate("abc"))
HEAD = Node("head", "10.0.0.9", "host-head", {})


class Cluster:
    """The nodes that live now."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes
        self.left_out: set[str] = set()
        self.faulty = FaultyNodes(lambda: self.nodes, has_room, self.left_out)

    def notes(self, *worked: tuple[str, list[str]]) -> list[str]:
        return [note for node, failed in worked for note in self.faulty.note_success(node, failed)]


def has_room(node: Resources) -> bool:
    return node.get("CPU", 0) > 0


def test_a_trial_that_failed_on_a_node_runs_again_on_another_one() -> None:
    assert Cluster(HEAD, A, B).faulty.to_avoid(["a"]) == ("a",)
    assert Cluster(HEAD, A, B).faulty.to_avoid([]) == ()


def test_nodes_that_have_died_need_not_be_avoided() -> None:
    """Those of an earlier session too, whose ids a trial may still have."""
    assert Cluster(HEAD, A, B).faulty.to_avoid(["a", "of an earlier cluster"]) == ("a",)
    assert Cluster(HEAD, A, B).faulty.to_avoid(["of an earlier cluster"]) == ()


def test_ray_is_asked_once_about_all_trials_that_wait() -> None:
    asked: list[int] = []

    def ask() -> tuple[Node, ...]:
        asked.append(1)
        return (HEAD, A)

    faulty = FaultyNodes(ask, has_room, set())
    assert not faulty.any_in_vain([({"CPU": 1}, [])] * 100, runs=False)
    assert faulty.any_in_vain([({"CPU": 1}, [])] * 100 + [({"CPU": 1}, ["a"])], runs=True)
    assert len(asked) == 2


def test_ray_is_not_asked_about_nodes_where_none_is_to_be_avoided() -> None:
    def ask() -> tuple[Node, ...]:
        raise AssertionError

    assert FaultyNodes(ask, has_room, set()).to_avoid([]) == ()


def test_where_no_other_node_has_room_it_runs_again_on_the_same_one() -> None:
    assert Cluster(HEAD, A).faulty.to_avoid(["a"]) == ()
    assert Cluster(HEAD, A, B).faulty.to_avoid(["a", "b"]) == ()


def test_a_node_whose_failures_three_trials_refuted_is_left_out_and_the_person_is_told_once() -> (
    None
):
    cluster = Cluster(HEAD, A, B, C)
    assert cluster.notes(("b", ["a"]), ("c", ["a"])) == []
    (note,) = cluster.notes(("b", ["a"]), ("b", ["a"]))
    assert note.startswith(
        "host-a is left out: 3 trials failed on it and worked on other nodes; rep"
    )
    assert cluster.left_out == {"a"}
    assert cluster.faulty.to_avoid([]) == ("a",)
    assert cluster.faulty.to_avoid(["b"]) == ("a", "b")
    assert cluster.faulty.to_avoid(["b", "c"]) == ("a",)


def test_a_node_that_works_again_is_not_left_out() -> None:
    cluster = Cluster(A, B)
    assert cluster.notes(*[("b", ["a"]), ("a", [])] * 5) == []
    assert not cluster.left_out


def test_a_trial_that_works_in_another_process_of_its_node_says_nothing_about_the_node() -> None:
    cluster = Cluster(A, B)
    assert cluster.notes(*[("a", ["a"])] * 5) == []


def test_the_last_node_with_room_is_never_left_out() -> None:
    cluster = Cluster(HEAD, A, B)
    cluster.notes(*[("b", ["a"])] * 3)
    assert cluster.notes(*[("a", ["b"])] * 3) == []
    assert cluster.left_out == {"a"}
    cluster.nodes = (HEAD, A)  # the other one has died
    assert cluster.faulty.to_avoid([]) == ()
    assert not cluster.faulty.has_room_beside(["a"])


def test_a_node_is_found_by_its_address() -> None:
    assert Cluster(A, B).faulty.id_at("10.0.0.1") == "b"
    assert Cluster(A, B).faulty.id_at("") == ""
    assert Cluster(A, B).faulty.host_at("10.0.0.1") == "host-b"
    assert Cluster(A, B).faulty.host_at("10.0.0.7") == ""


def test_labels_name_the_nodes_to_avoid() -> None:
    assert label_selector(["a", "b"]) == {"ray.io/node-id": "!in(a,b)"}
    assert label_selector([]) == {}
