"""The plots, each a function from days to SVG.

Drawn by matplotlib without a display. Text stays text, so that a page can be searched; names inside are made
from a fixed salt, so that the same days give the same bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.clients import Step
from bench.fleet.records import Day, Ended, Reading, Record
from tarpit.tuning.survival import Curve, estimate

mpl.rcParams["svg.hashsalt"] = "fleets"
mpl.rcParams["svg.fonttype"] = "none"

WIDE, HIGH = 9.0, 3.6  # inches
LONGEST: Final = 120.0  # seconds of a connection that are shown
PHASES: Final = (Step.BANNER, Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA, Step.DOT)
AFTER: Final = {phase.value: place for place, phase in enumerate(PHASES)}
GRAIN: Final = 4  # points a second: a curve of a hundred thousand connections is no smoother than that
HOUR: Final = 3600.0


def survival(days: Sequence[Day], *, honest: bool) -> str:
    """Return the share still connected after so many seconds, with 95 % bands; who is served is censored."""

    def draw(axes: Axes) -> None:
        for day in days:
            curve = stay(one for one in day.records if one.honest is honest)
            if not curve.tried:
                continue
            times = [time / GRAIN for time in range(int(min(curve.longest, LONGEST) * GRAIN) + 1)]
            shares = [curve.at(time) for time in times]
            (line,) = axes.step(times, [share.value for share in shares], where="post", label=day.policy)
            axes.fill_between(
                times,
                [share.low for share in shares],
                [share.high for share in shares],
                step="post",
                alpha=0.15,
                color=line.get_color(),
            )
        axes.set(xlim=(0, LONGEST), ylim=(0, 1.02), xlabel="seconds connected", ylabel="share still there")

    return _drawn(draw)


def stay(records: Iterable[Record]) -> Curve:
    """Return how long connections last until the client hangs up on a reply that does not come."""
    return estimate((one.seconds, one.ended is Ended.GAVE_UP) for one in records)


def phases(days: Sequence[Day], *, honest: bool) -> str:
    """Return how many get past each phase, of those that connect."""

    def draw(axes: Axes) -> None:
        wide = 0.8 / max(len(days), 1)
        for place, day in enumerate(days):
            shares = past_phases(one for one in day.records if one.honest is honest)
            axes.bar([at + place * wide for at in range(len(PHASES))], shares, wide, label=day.policy)
        axes.set_xticks(
            [at + 0.4 - wide / 2 for at in range(len(PHASES))], [f"past {phase.value}" for phase in PHASES]
        )
        axes.set(ylim=(0, 1.02), ylabel="share of connections")

    return _drawn(draw)


def past_phases(records: Iterable[Record]) -> list[float]:
    """Return which share of connections got beyond each phase without hanging up in it or before."""
    ended = [len(PHASES) if one.ended is not Ended.GAVE_UP else AFTER.get(one.phase, 0) for one in records]
    return [sum(end > place for end in ended) / max(len(ended), 1) for place in range(len(PHASES))]


def bars(values: Sequence[tuple[str, float]], *, label: str) -> str:
    """Return a bar for each named value."""

    def draw(axes: Axes) -> None:
        names, heights = [name for name, _ in values], [height for _, height in values]
        axes.bar_label(axes.bar(names, heights), fmt="%.4g")
        axes.margins(y=0.15)
        axes.set_ylabel(label)

    return _drawn(draw, legend=False)


def over_time(days: Sequence[Day], value: Callable[[Reading], float], *, label: str) -> str:
    """Return a line over the hours of the day for each policy."""

    def draw(axes: Axes) -> None:
        for day in days:
            hours = [reading.at / HOUR for reading in day.readings]
            axes.plot(hours, [value(reading) for reading in day.readings], label=day.policy, linewidth=1)
        axes.set(xlabel="hour of the day", ylabel=label)
        axes.set_ylim(bottom=0)

    return _drawn(draw)


def _drawn(draw: Callable[[Axes], None], *, legend: bool = True) -> str:
    figure = Figure(figsize=(WIDE, HIGH), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    drawing = out.getvalue()
    return drawing[drawing.index("<svg") :]
