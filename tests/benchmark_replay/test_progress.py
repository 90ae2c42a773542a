"""A line per tenth of the replays."""

import io

from benchmarks.replay.progress import Progress


def test_a_line_per_tenth_tells_what_is_left() -> None:
    stream = io.StringIO()
    now_s = 100.0
    progress = Progress("words, 2 workers", 1000, stream, clock=lambda: now_s)
    for done in range(25, 1001, 25):
        now_s += 1.0
        progress(done)

    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "words, 2 workers: 100 of 1,000 replays, 4 s; about 36 s left"
    assert lines[-1] == "words, 2 workers: 1,000 of 1,000 replays, 40 s; about 0 s left"


def test_few_replays_in_one_part_have_one_line() -> None:
    stream = io.StringIO()
    Progress("words", 7, stream, clock=lambda: 0.0)(7)

    assert stream.getvalue() == "words: 7 of 7 replays, 0 s; about 0 s left\n"
