"""Draws a timeline of the trials on each host and device, and where a device was idle."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from tuner.report.figure import Figure, Panel
from tuner.report.figures.points import hover_text
from tuner.report.reading import Reading
from tuner.report.search_time import SearchTime, Unit, end_of, unit_for
from tuner.report.style import BROKEN, QUIET, empty_figure, looks, plain
from tuner.run.device import place_of
from tuner.run.records import TrialRecord
from tuner.run.trial_status import TrialStatus
from tuner.text import count_text, format_duration

_MOST = 2500  # bars


@dataclass(frozen=True)
class Bar:
    """A trial, or several consecutive ones that are too short to distinguish."""

    begin: float  # seconds searched by then
    end: float
    records: tuple[TrialRecord, ...]
    busy_s: float  # less than from begin to end where there is idle time between several


@dataclass
class Lane:
    """One place for a trial at a time."""

    name: str
    bars: list[Bar] = field(default_factory=list)

    @property
    def busy_s(self) -> float:
        """Seconds in which a trial ran."""
        return sum(bar.busy_s for bar in self.bars)


def lanes_of(reading: Reading) -> list[Lane]:
    """As few lanes per host and device as its trials need; each trial is on the lane that was free the longest."""
    by_place: dict[str, list[tuple[float, float, TrialRecord]]] = defaultdict(list)
    for record in reading.records:
        ended = end_of(record)
        if record.started is not None and ended is not None and record.host is not None:
            place = f"{record.host} · {place_of(record.device)}" if record.device else record.host
            by_place[place].append(
                (reading.time.at(record.started), reading.time.at(ended), record)
            )
    lanes: list[Lane] = []
    for place, spans in sorted(by_place.items()):
        of_place: list[Lane] = []
        for begin, end, record in sorted(spans, key=lambda span: (span[0], span[2].number)):
            free = [lane for lane in of_place if lane.bars[-1].end <= begin + 0.05]
            if not free:
                of_place.append(Lane(f"{place} · {len(of_place) + 1}"))
                free = of_place[-1:]
            lane = min(free, key=lambda each: each.bars[-1].end if each.bars else 0.0)
            lane.bars.append(Bar(begin, max(begin, end), (record,), max(0.0, end - begin)))
        if len(of_place) == 1:
            of_place[0].name = place
        lanes += of_place
    return lanes


def timeline(reading: Reading) -> Figure | None:
    """One row per lane; None where no trial has started on any host."""
    lanes = lanes_of(reading)
    if not lanes:
        return None
    whole = reading.time.seconds
    busy = sum(lane.busy_s for lane in lanes)
    share = busy / (whole * len(lanes)) if whole > 0 else 1.0
    several = (
        " Trials that are too short to distinguish share a bar, which is paler the more idle time it contains."
        if len(reading.records) > _MOST
        else ""
    )
    many = f"{len(lanes)} trials at a time" if len(lanes) > 1 else "one trial at a time"
    return Figure(
        "timeline",
        "Timeline",
        "Timeline",
        f"Where and when trials ran: {many}, busy for {share:.0%} of "
        f"{format_duration(max(1.0, whole))}, idle where a row is empty. Pale bars are pruned trials."
        f"{several}{_pauses_text(reading.time)}",
        (Panel("all", "all", _drawing(reading, lanes, whole)),),
    )


def _pauses_text(time: SearchTime) -> str:
    """A sentence on how the axis shows pauses between sessions."""
    text = ""
    if time.pauses:
        pauses = format_duration(sum(pause.seconds for pause in time.pauses))
        text = f" Pauses between sessions, {pauses} in all, are cut out at the dashed lines."
    if not time.is_recorded:
        text += (
            " An earlier version of tuner ran the first trials and recorded no sessions, so pauses among "
            "them show as idle time."
        )
    return text


def _drawing(reading: Reading, lanes: Sequence[Lane], whole: float) -> go.Figure:
    unit = unit_for(whole)
    drawing = empty_figure(
        height=110 + max(46, min(34 * len(lanes), 900)), barmode="overlay", bargap=0.25
    )
    names = [
        f"{plain(lane.name)} · busy {lane.busy_s / whole if whole > 0 else 1:.0%} "
        for lane in lanes
    ]
    drawing.update_xaxes(title=f"{unit.name} searched", range=[0, whole / unit.seconds * 1.005])
    drawing.update_yaxes(
        autorange="reversed", categoryorder="array", categoryarray=names, showgrid=False, ticks=""
    )
    finest = whole * len(lanes) / _MOST
    bars = [
        (name, bar)
        for name, lane in zip(names, lanes, strict=True)
        for bar in joined(lane.bars, finest)
    ]
    colours = looks(reading.space.architectures)
    for architecture, look in colours.items():
        _add_bars(
            drawing, unit, plain(architecture), look.colour,
            [(name, bar) for name, bar in bars if _kind(bar) == architecture],
        )  # fmt: skip
    _add_bars(drawing, unit, "broke", BROKEN, [(n, bar) for n, bar in bars if _kind(bar) == BROKEN])
    _add_bars(
        drawing, unit, "several short trials", QUIET, [(n, b) for n, b in bars if _kind(b) is None]
    )
    for pause in reading.time.pauses:
        drawing.add_vline(
            pause.at_s / unit.seconds, line={"color": QUIET, "dash": "dash", "width": 1}
        )
    return drawing


def _kind(bar: Bar) -> str | None:
    """An architecture, BROKEN, or None where a bar has several kinds."""
    kinds = {BROKEN if r.status.is_broken else r.architecture for r in bar.records}
    return kinds.pop() if len(kinds) == 1 else None


def joined(bars: Sequence[Bar], finest: float) -> list[Bar]:
    """The bars of a lane, with those joined that are together too short to see."""
    some: list[Bar] = []
    for bar in bars:
        last = some[-1] if some else None
        if last is not None and bar.end - last.begin <= finest:
            both = (*last.records, *bar.records)
            some[-1] = Bar(last.begin, bar.end, both, last.busy_s + bar.busy_s)
        else:
            some.append(bar)
    return some


def _add_bars(
    drawing: go.Figure, unit: Unit, name: str, colour: str, bars: Sequence[tuple[str, Bar]]
) -> None:
    if not bars:
        return
    drawing.add_bar(
        orientation="h",
        y=[lane for lane, _ in bars],
        base=[bar.begin / unit.seconds for _, bar in bars],
        x=[(bar.end - bar.begin) / unit.seconds for _, bar in bars],
        text=[_text(bar) for _, bar in bars],
        textposition="none",
        marker={
            "color": colour,
            "opacity": [_opacity(bar) for _, bar in bars],
            "line": {"width": 0},
        },
        name=name,
        hovertemplate="%{text}<extra></extra>",
    )


def _opacity(bar: Bar) -> float:
    """Pale for a pruned trial; for several trials in one bar, paler the more of it is idle."""
    if len(bar.records) > 1:
        length = bar.end - bar.begin
        return max(0.15, min(1.0, bar.busy_s / length)) if length > 0 else 1.0
    return 0.55 if bar.records[0].status is TrialStatus.PRUNED else 1.0


def _text(bar: Bar) -> str:
    if len(bar.records) > 1:
        return f"{count_text(len(bar.records), 'trial')}, {bar.records[0].number} to {bar.records[-1].number}"
    record = bar.records[0]
    began = record.started.strftime("%Y-%m-%d %H:%M:%S") if record.started else ""
    took = format_duration(max(1.0, bar.end - bar.begin))
    error = f"<br>{plain(record.error[:100])}" if record.error else ""
    return f"{hover_text(record, parameters=False)}<br>{took} from {began}{error}"
