"""When a search could hand over a model of some accuracy: the figures of `time_to_accuracy.py`."""

from benchmarks.incumbents import Form, Searched, gained, ratio, rows

FULL = Form("full", {"test": 8000}, (0.88, 0.90, 0.91), seeds=3, limit_s=480)
OURS = Searched(
    5.0, {"single": [(100.0, 0.87), (200.0, 0.89)], "averaged": [(20.0, 0.915), (90.0, 0.905)]}
)
THEIRS = Searched(9.0, {"single": [(60.0, 0.85), (300.0, 0.885)], "averaged": []})
NOBODY = Searched(9.0, {"single": [], "averaged": []})


def test_an_accuracy_is_reached_when_it_first_was_handed_over() -> None:
    assert OURS.seconds_to(0.88, "single") == 200.0
    assert OURS.seconds_to(0.90, "single") is None
    assert OURS.seconds_to(0.91, "averaged") == 20.0  # what came later was worse
    assert (OURS.last("averaged"), NOBODY.last("averaged")) == (0.905, None)


def test_peers_average_nothing_and_who_never_arrives_is_counted_with_the_limit() -> None:
    found = {"tuner": [OURS] * 3, "Ray Tune": [THEIRS] * 3, "Optuna": [NOBODY] * 3}
    by = {(row["reached"], row["outcome"]): row for row in rows(found, FULL)}
    single, averaged = by["0.88", "single"], by["0.88", "averaged"]
    assert (single["tuner"], single["Ray Tune"], single["Optuna"]) == ("200 s", "300 s", ">480 s")
    assert single["best peer / tuner"] == "1.5 (1.5 to 1.5)"
    assert averaged["best peer / tuner"] == "15.0 (15.0 to 15.0)"
    assert by["0.90", "single"]["best peer / tuner"] == ""  # ours did not arrive
    assert by["0.90", "averaged"]["best peer / tuner"] == ">24.0 (24.0 to 24.0)"
    end = by["accuracy after 480 s", "averaged"]
    assert (end["tuner"], end["Ray Tune"], end["Optuna"]) == ("90.50", "88.50", "50.00")
    assert end["best peer / tuner"] == "+2.00 points (+2.00 to +2.00)"
    assert by["start-up", ""]["best peer / tuner"] == "1.8 (1.8 to 1.8)"


def test_intervals_are_over_seeds_and_none_is_told_of_one() -> None:
    times = {"tuner": [10.0, 20.0, 40.0], "Optuna": [40.0, 40.0, 480.0]}
    assert ratio({name: each[:1] for name, each in times.items()}, 480.0) == "4.0"
    value, low, high = (
        float(each)
        for each in ratio(times, 480.0).translate(str.maketrans("()", "  ", "to")).split()
    )
    assert value == 2.0
    assert low <= value < high
    assert gained({"tuner": [90.0], "Optuna": [88.0]}) == "+2.00 points"


def test_where_no_peer_arrives_the_ratio_is_a_least_one() -> None:
    assert ratio({"tuner": [50.0], "Optuna": [100.0]}, 100.0) == ">2.0"
