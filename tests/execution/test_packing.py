"""How trials are packed onto the GPUs of a cluster, without one."""

import pytest
from support.gpus import gpu

from tuner.execution.packing import GpuKind, Packing, Places, kind_of
from tuner.execution.shares import limit_mb

# -- a lower packing ------------------------------------------------------------------------------


def test_a_lowered_packing_has_fewer_trials_with_more_memory() -> None:
    packing = Packing(1, "auto", [GpuKind("H100", gpu(), 14)])
    seen = []
    for _ in range(6):
        place = packing.place()
        seen.append((packing.fit({"CPU": 64, "GPU": 1}), place.share.limit_mb, place.is_shared))
        packing.lower()
    limits = [limit for _, limit, _ in seen]
    assert [trials for trials, _, _ in seen] == [14, 9, 6, 4, 2, 1]
    assert limits[:5] == sorted(limits[:5])
    assert limits[5] is None
    assert [is_shared for *_, is_shared in seen] == [True] * 5 + [False]


def test_a_lowered_number_is_a_larger_number() -> None:
    kinds = [GpuKind(None, gpu(), 1)]
    packing, shares = Packing(1, 0.25, kinds), []
    for _ in range(4):
        shares.append(packing.place().share.gpus)
        packing.lower()
    assert shares == [0.25, 0.5, 1.0, 1.0]


# -- nodes ----------------------------------------------------------------------------------------


def test_cpus_alone_decide_without_gpus_and_bound_the_trials_with_them() -> None:
    assert Packing(2).fit({"CPU": 7, "GPU": 1}) == 3
    assert Packing(1, 1.0).fit({"CPU": 7, "GPU": 4}) == 4
    assert Packing(4, 0.25, [GpuKind(None, gpu(), 1)]).fit({"CPU": 48, "GPU": 4}) == 12


def test_the_kind_of_a_nodes_gpus_is_rays_name() -> None:
    assert kind_of({"CPU": 1, "GPU": 1, "accelerator_type:T4": 1}) == "T4"
    assert kind_of({"CPU": 1, "GPU": 1}) is None


# -- requests -------------------------------------------------------------------------------------

T4 = {"CPU": 48.0, "GPU": 4.0, "accelerator_type:T4": 1.0}
H100 = {"CPU": 64.0, "GPU": 2.0, "accelerator_type:H100": 1.0}


@pytest.mark.parametrize("gpus", [0.0, 1.0])
def test_without_parts_of_gpus_the_request_names_cpus_and_gpus_alone(gpus: float) -> None:
    place = Packing(1, gpus).place(nodes=lambda: [T4, H100])
    assert place.resources == {"CPU": 1, "GPU": gpus}
    assert place.share.limit_mb is None


def test_where_all_gpus_are_alike_the_request_does_not_name_them() -> None:
    packing = Packing(1, 0.25, [GpuKind("T4", gpu("T4"), 1)])
    assert packing.place(nodes=lambda: [T4, T4]).resources == {"CPU": 1, "GPU": 0.25}
    assert packing.fit({"CPU": 8, "GPU": 1}) == 4  # one that an autoscaler may start


def test_each_kind_of_gpu_has_a_packing_of_its_own() -> None:
    packing = Packing(1, "auto", [GpuKind("T4", gpu("T4"), 3), GpuKind("H100", gpu("H100"), 14)])
    assert packing.fit(T4) == 12
    assert packing.fit(H100) == 28
    assert packing.fit({"CPU": 8}) == 0

    running = []
    for _ in range(40):
        running.append(packing.place(running, lambda: [T4, H100]))

    kinds = [place.kind for place in running]
    assert (kinds.count("T4"), kinds.count("H100")) == (12, 28)
    on_t4 = next(place for place in running if place.kind == "T4")
    assert on_t4.resources == {"CPU": 1, "GPU": 0.3333, "accelerator_type:T4": 0.001}


def test_a_kind_of_gpu_that_joins_later_is_not_used() -> None:
    packing = Packing(1, 0.25, [GpuKind("H100", gpu("H100"), 1)])
    assert packing.fit(T4) == 0
    assert packing.unknown_kinds == {"T4"}
    assert packing.place(nodes=lambda: [T4, H100]).resources == {
        "CPU": 1,
        "GPU": 0.25,
        "accelerator_type:H100": 0.001,
    }


BOTH = [GpuKind("T4", gpu("T4"), 3), GpuKind("H100", gpu("H100"), 14)]


def test_trials_go_to_kinds_of_gpus_that_are_there() -> None:
    packing = Packing(1, "auto", BOTH)
    running = [packing.place(nodes=lambda: [H100]) for _ in range(28)]
    assert {place.kind for place in running} == {"H100"}
    # Full, but no place on a T4 would ever be given; and no autoscaler needs to know the name.
    place = packing.place(running, lambda: [H100])
    assert place.resources == {"CPU": 1, "GPU": 0.0714}


def test_kinds_that_an_autoscaler_starts_by_name_are_used() -> None:
    packing = Packing(1, "auto", BOTH)
    running = []
    for _ in range(29):
        running.append(packing.place(running, lambda: [H100], coming={"T4", None}))
    assert running[-1].kind == "T4"
    assert all(any("accelerator_type" in name for name in place.resources) for place in running)


def test_a_trial_that_avoids_a_node_waits_for_no_autoscaler_where_another_node_is() -> None:
    packing = Packing(1, "auto", BOTH)
    running = [packing.place(nodes=lambda: [H100]) for _ in range(28)]
    coming = {"T4", "H100"}
    beside = packing.place(running, lambda: [T4, H100], usable=lambda: [H100], coming=coming)
    assert "accelerator_type:H100" in beside.resources
    alone = packing.place(running, lambda: [H100], usable=list, coming=coming)
    assert "accelerator_type:T4" in alone.resources
    anywhere = packing.place(running, lambda: [H100], usable=lambda: [H100], coming=coming)
    assert "accelerator_type:T4" in anywhere.resources


def test_where_no_gpu_is_left_the_largest_share_waits_for_any() -> None:
    packing = Packing(1, "auto", BOTH)
    running = [packing.place(nodes=lambda: [T4]) for _ in range(4)]
    assert packing.place(running, lambda: [{"CPU": 8}]).resources == {"CPU": 1, "GPU": 0.3333}


def test_a_trial_that_ran_out_gets_two_places_with_one_limit() -> None:
    packing = Packing(1, "auto", [GpuKind("H100", gpu(), 14)])
    place = packing.place(is_larger=True)
    assert (place.slots, place.is_shared) == (2, False)
    assert place.resources["GPU"] == 2 * packing.place().resources["GPU"]
    assert place.share.limit_mb == limit_mb(gpu(), 0.1428)


@pytest.mark.parametrize(
    ("gpus", "extra"), [(0.0, 0), (1.0, 0), (0.75, 0), (0.5, 1), (0.4, 1), (0.3, 1), (0.1, 1)]
)
def test_a_larger_share_takes_the_places_that_are_lost_to_others(gpus: float, extra: int) -> None:
    kinds = [GpuKind(None, None, 1)] if gpus not in (0, 1) else []
    places = Places(Packing(1, gpus, kinds), lambda avoided: [{"CPU": 8, "GPU": 1}])
    places.take(0)
    places.take(1, is_larger=True)
    assert places.extra == extra
    places.free(1)
    assert places.extra == 0


def test_nodes_are_read_only_where_gpus_differ() -> None:
    def no_nodes(avoided: object) -> list[dict[str, float]]:
        raise AssertionError("each look asks Ray")

    Places(Packing(1), no_nodes).take(0)
    Places(Packing(1, 0.25, [GpuKind(None, gpu(), 1)]), no_nodes).take(0)


def test_places_that_ask_ray_for_the_same_have_the_same_limit() -> None:
    """Tune gives a trial any process that asked for the same, and a process keeps its limit."""
    kinds = [GpuKind("T4", gpu("T4"), 3), GpuKind("H100", gpu("H100"), 14)]
    limits: dict[tuple[tuple[str, float], ...], set[int | None]] = {}
    for only in kinds:
        packing = Packing(1, "auto", [only])
        for _ in range(7):
            for is_larger in (False, True):
                place = packing.place(is_larger=is_larger)
                request = (only.name or "", place.resources["GPU"])
                limits.setdefault((request,), set()).add(place.share.limit_mb)
            packing.lower()
    # A share that the measuring chose has the measured limit; that of a larger or lowered one is all of it.
    assert {request: seen for request, seen in limits.items() if len(seen) > 1} == {}
