"""How trials share cards: arithmetic for cards of every size, without one."""

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tuner.errors import ConfigError
from tuner.execution.packing import (
    MOST_CLIENTS_OF_MPS,
    MOST_WITHOUT_MPS,
    CardKind,
    Packing,
    Places,
    Share,
    auto_share,
    given_share,
    kind_of,
    larger_share,
    limit_mb,
    share_of_one,
    trials_per_card,
    usable_mb,
)
from tuner.training.gpu_memory import CardFigures

# As they call themselves, and what is free on them when nobody else computes there.
CARDS = {
    "T4": (15_360, 14_930),
    "A10G": (23_028, 22_500),
    "A100": (40_960, 40_330),
    "H100": (81_559, 80_990),
}


def card(name: str = "H100", **more: object) -> CardFigures:
    total_mb, free_mb = CARDS[name]
    figures = CardFigures(name, total_mb, free_mb, 3_000, 700, 2_500, 120_000, has_mps=True)
    return dataclasses.replace(figures, **more)


def fit(figures: CardFigures, cpus: float = 64.0, host_mb: float = 500_000.0) -> int:
    return trials_per_card(figures, cpus=cpus, host_mb=host_mb, host_mb_per_trial=3_000.0)


def held_mb(figures: CardFigures, trials: int) -> float:
    """What so many processes hold of a card at `auto`."""
    limit = auto_share(figures, trials).limit_mb
    assert limit is not None
    return trials * (limit + figures.context_mb)


figures_of_cards = st.builds(
    card,
    st.sampled_from(sorted(CARDS)),
    peak_mb=st.integers(50, 20_000),
    context_mb=st.integers(300, 1_000),
    has_mps=st.booleans(),
)


# -- auto -----------------------------------------------------------------------------------------


def test_fourteen_processes_fit_on_80_gb_with_something_to_spare() -> None:
    """As on the H100 where 16 died: contexts of 500 to 900 MB each, beside what their backends took."""
    for context_mb in (500, 700, 900):
        figures = card("H100", peak_mb=3_400, context_mb=context_mb)
        trials = fit(figures, cpus=16)
        assert trials >= 14
        assert held_mb(figures, trials) <= 0.96 * figures.free_mb


@pytest.mark.parametrize(
    ("name", "trials", "limit"), [("T4", 3, 4_006), ("A10G", 4, 4_006), ("A100", 8, 4_006)]
)
def test_smaller_cards_hold_fewer(name: str, trials: int, limit: int) -> None:
    assert fit(card(name)) == trials
    assert auto_share(card(name), trials) == Share(share_of_one(trials), limit)


@given(figures_of_cards)
def test_processes_never_hold_more_than_a_card_has_to_give(figures: CardFigures) -> None:
    trials = fit(figures)
    assume(trials > 1)
    assert held_mb(figures, trials) <= usable_mb(figures)
    limit = auto_share(figures, trials).limit_mb
    assert limit is not None
    assert limit >= figures.peak_mb


@given(figures_of_cards, st.integers(0, 6))
def test_lowered_as_often_as_one_likes_it_still_fits(figures: CardFigures, lowered: int) -> None:
    trials = fit(figures)
    share = auto_share(figures, trials, lowered=lowered)
    if share.limit_mb is not None:
        assert share.fit_on(1) * (share.limit_mb + figures.context_mb) <= usable_mb(figures)


def test_without_mps_no_more_share_a_card_than_pays() -> None:
    assert fit(card(peak_mb=100)) == MOST_CLIENTS_OF_MPS
    assert fit(card(peak_mb=100, has_mps=False)) == MOST_WITHOUT_MPS


def test_cpus_and_memory_of_the_machine_bound_the_trials_of_a_card() -> None:
    assert fit(card(), cpus=6.5) == 6
    assert fit(card(), host_mb=16_000) == 5
    assert fit(card(), cpus=0.5, host_mb=100) == 1


def test_what_others_hold_of_a_card_is_not_given_away() -> None:
    assert fit(card(free_mb=40_000)) == 7


def test_a_training_that_fills_the_card_has_it_alone() -> None:
    figures = card(peak_mb=72_000)
    assert fit(figures) == 1
    assert auto_share(figures, 1) == Share(1.0)


@given(st.integers(1, 500))
def test_shares_of_a_card_do_not_exceed_it(trials: int) -> None:
    share = share_of_one(trials)
    assert 0 < share * trials <= 1
    assert share == round(share, 4)
    assert Share(share).fit_on(1) >= trials


# -- a number -------------------------------------------------------------------------------------


def test_a_number_gives_that_part_without_the_context() -> None:
    figures = card("T4")
    assert given_share(figures, 0.25) == Share(0.25, int(usable_mb(figures) / 4 - 700))
    assert given_share(figures, 1.0) == Share(1.0)


def test_a_number_that_leaves_nothing_beside_the_context_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"--gpus-per-trial 0.05: of a T4 with 14930 MB free.*700 MB"
    ):
        given_share(card("T4"), 0.05)


# -- a larger share, and a lower packing ----------------------------------------------------------


def test_a_larger_share_is_twice_the_share_at_most_the_card() -> None:
    figures = card("H100")
    larger = larger_share(figures, Share(0.0714, 4_006))
    assert larger == Share(0.1428, limit_mb(figures, 0.1428))
    assert larger.limit_mb is not None
    assert larger.limit_mb > 2 * 4_006
    assert larger_share(figures, Share(0.5, 9_000)) == Share(1.0)
    assert larger_share(figures, Share(0.75, 9_000)) == Share(1.0)


def test_a_lowered_packing_has_fewer_trials_with_more_memory() -> None:
    packing = Packing(1, "auto", [CardKind("H100", card(), 14)])
    seen = []
    for _ in range(6):
        place = packing.place()
        seen.append((packing.fit({"CPU": 64, "GPU": 1}), place.limit_mb, place.is_shared))
        packing.lower()
    limits = [limit for _, limit, _ in seen]
    assert [trials for trials, _, _ in seen] == [14, 9, 6, 4, 2, 1]
    assert limits[:5] == sorted(limits[:5])
    assert limits[5] is None
    assert [is_shared for *_, is_shared in seen] == [True] * 5 + [False]


def test_a_lowered_number_is_a_larger_number() -> None:
    kinds = [CardKind(None, card(), 1)]
    shares = [Packing(1, 0.25, kinds, lowered=times).place().resources["GPU"] for times in range(4)]
    assert shares == [0.25, 0.5, 1.0, 1.0]


# -- nodes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpus", "on_cards", "trials"),
    [
        (0.4, 2, 4),
        (0.6, 4, 4),
        (0.3, 4, 12),
        (1 / 3, 1, 3),
        (0.25, 0.5, 2),
        (1.0, 8, 8),
        (0.5, 0, 0),
    ],
)
def test_fractions_are_counted_per_card(gpus: float, on_cards: float, trials: int) -> None:
    assert Share(gpus).fit_on(on_cards) == trials


def test_cpus_alone_decide_without_cards_and_bound_the_trials_with_them() -> None:
    assert Packing(2).fit({"CPU": 7, "GPU": 1}) == 3
    assert Packing(1, 1.0).fit({"CPU": 7, "GPU": 4}) == 4
    assert Packing(4, 0.25, [CardKind(None, card(), 1)]).fit({"CPU": 48, "GPU": 4}) == 12


def test_the_kind_of_a_nodes_cards_is_rays_name() -> None:
    assert kind_of({"CPU": 1, "GPU": 1, "accelerator_type:T4": 1}) == "T4"
    assert kind_of({"CPU": 1, "GPU": 1}) is None


# -- requests -------------------------------------------------------------------------------------

T4 = {"CPU": 48.0, "GPU": 4.0, "accelerator_type:T4": 1.0}
H100 = {"CPU": 64.0, "GPU": 2.0, "accelerator_type:H100": 1.0}


@pytest.mark.parametrize("gpus", [0.0, 1.0])
def test_without_parts_of_cards_the_request_names_cpus_and_gpus_alone(gpus: float) -> None:
    place = Packing(1, gpus).place(nodes=lambda: [T4, H100])
    assert place.resources == {"CPU": 1, "GPU": gpus}
    assert place.limit_mb is None


def test_where_all_cards_are_alike_the_request_does_not_name_them() -> None:
    packing = Packing(1, 0.25, [CardKind("T4", card("T4"), 1)])
    assert packing.place(nodes=lambda: [T4, T4]).resources == {"CPU": 1, "GPU": 0.25}
    assert packing.fit({"CPU": 8, "GPU": 1}) == 4  # one that an autoscaler may start


def test_each_kind_of_card_has_a_packing_of_its_own() -> None:
    packing = Packing(
        1, "auto", [CardKind("T4", card("T4"), 3), CardKind("H100", card("H100"), 14)]
    )
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


def test_a_kind_of_card_that_joins_later_is_not_used() -> None:
    packing = Packing(1, 0.25, [CardKind("H100", card("H100"), 1)])
    assert packing.fit(T4) == 0
    assert packing.unknown_kinds == {"T4"}
    assert packing.place(nodes=lambda: [T4, H100]).resources == {
        "CPU": 1,
        "GPU": 0.25,
        "accelerator_type:H100": 0.001,
    }


BOTH = [CardKind("T4", card("T4"), 3), CardKind("H100", card("H100"), 14)]


def test_trials_go_to_kinds_of_cards_that_are_there() -> None:
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


def test_where_no_card_is_left_the_largest_share_waits_for_any() -> None:
    packing = Packing(1, "auto", BOTH)
    running = [packing.place(nodes=lambda: [T4]) for _ in range(4)]
    assert packing.place(running, lambda: [{"CPU": 8}]).resources == {"CPU": 1, "GPU": 0.3333}


def test_a_trial_that_ran_out_gets_two_places_with_one_limit() -> None:
    packing = Packing(1, "auto", [CardKind("H100", card(), 14)])
    place = packing.place(is_larger=True)
    assert (place.slots, place.is_shared) == (2, False)
    assert place.resources["GPU"] == 2 * packing.place().resources["GPU"]
    assert place.limit_mb == limit_mb(card(), 0.1428)


@pytest.mark.parametrize(
    ("gpus", "extra"), [(0.0, 0), (1.0, 0), (0.75, 0), (0.5, 1), (0.4, 1), (0.3, 1), (0.1, 1)]
)
def test_a_larger_share_takes_the_places_that_are_lost_to_others(gpus: float, extra: int) -> None:
    kinds = [CardKind(None, None, 1)] if gpus not in (0, 1) else []
    places = Places(Packing(1, gpus, kinds), lambda: [{"CPU": 8, "GPU": 1}])
    places.take(0)
    places.take(1, is_larger=True)
    assert places.extra == extra
    places.free(1)
    assert places.extra == 0


def test_nodes_are_read_only_where_cards_differ() -> None:
    def no_nodes() -> list[dict[str, float]]:
        raise AssertionError("each look asks Ray")

    Places(Packing(1), no_nodes).take(0)
    Places(Packing(1, 0.25, [CardKind(None, card(), 1)]), no_nodes).take(0)


def test_places_that_ask_ray_for_the_same_have_the_same_limit() -> None:
    """Tune gives a trial any process that asked for the same, and a process keeps its limit."""
    kinds = [CardKind("T4", card("T4"), 3), CardKind("H100", card("H100"), 14)]
    limits: dict[tuple[tuple[str, float], ...], set[int | None]] = {}
    for lowered in range(7):
        for only in kinds:
            packing = Packing(1, "auto", [only], lowered=lowered)
            for is_larger in (False, True):
                place = packing.place(is_larger=is_larger)
                request = (only.name or "", place.resources["GPU"])
                limits.setdefault((request,), set()).add(place.limit_mb)
    # A share that the measuring chose has the measured limit; that of a larger or lowered one is all of it.
    assert {request: seen for request, seen in limits.items() if len(seen) > 1} == {}
