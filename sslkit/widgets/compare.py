"""The scoreboard's curves, with the reader's own runs beside them."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import partial
from typing import Any

from ipywidgets import HTML, Box, Checkbox, Layout, SelectionRangeSlider, SelectionSlider, ToggleButtons

from sslkit import plots, scoreboard
from sslkit.evaluate import Score
from sslkit.widgets.panel import Drawing, Panel, hint

MARKERS = "D^v<>Php*d8HX"  # of self-supervised methods, which share their blues
BEST = 3  # self-supervised methods that are shown at first
VERDICTS = {"better": "better", "worse": "worse", "": "not told apart"}


def compare(table: dict | None = None, mine: Mapping[str, Mapping] | None = None, data: str = "photodigits") -> Panel:
    """Choose methods, the budget and the numbers of labels, and see the scoreboard's curves, your own beside them.

    `table` is from scoreboard.load(path), by default the course's. `mine` names runs of yours on the same `data`: each
    is what evaluate.label_efficiency returns, or the "probe" of what `python -m sslkit evaluate FILE.pt --json`
    prints. They are compared with the controls of the convolutional network.

    Raises ValueError if the table has no rows of `data`, or a run has no figures or the name of a method.
    """
    state = Board(scoreboard.load() if table is None else table, mine or {}, data)
    wide = {"layout": Layout(width="26em", max_width="100%"), "style": {"description_width": "initial"}}
    style = {"button_width": "auto", "description_width": "initial"}
    boxes = {
        name: Checkbox(description=name, indent=False, layout=Layout(width="12em"), value=name in state.chosen)
        for name in state.methods
    }
    budget = ToggleButtons(options=state.budgets, description="budget", value=state.budget, style=style)
    texts = [(str(count), count) for count in state.counts]
    settings = {"options": texts, "continuous_update": False, **wide}
    span = SelectionRangeSlider(description="labels a class, shown", value=state.span, **settings)
    at = SelectionSlider(description="labels a class, compared", value=state.at, **settings)
    table_view = HTML()

    def draw() -> Drawing:
        at.value, span.value = state.at, state.span
        table_view.value = state.html()
        return state.draw()

    panel = Panel(draw, still=state.still)
    for name, box in boxes.items():
        panel.react(box, partial(_choose, state, name, box))
    panel.react(budget, lambda: setattr(state, "budget", budget.value))
    panel.react(span, lambda: state.to(span.value))
    panel.react(at, lambda: state.compare_at(at.value))
    names = Box(list(boxes.values()), layout=Layout(flex_flow="row wrap"))
    line = hint("Which methods? Grey has learned nothing, orange is supervised, blue self-supervised, green is yours.")
    sliders = Box([budget, span, at], layout=Layout(flex_flow="row wrap"))
    return panel.lay_out(line, names, sliders, panel.picture, panel.sentence, table_view)


def _choose(state: Board, name: str, box: Checkbox) -> None:
    state.choose(name, box.value)


class Board:
    """Rows of one data set, the reader's among them, and which of them are shown and compared."""

    def __init__(self, table: dict, mine: Mapping[str, Mapping], data: str):
        scoreboard.check(table)
        rows = scoreboard.find(table, data=data)
        if not rows:
            there = ", ".join(sorted({row["data"] for row in table["rows"]})) or "no rows at all"
            raise ValueError(f"the table has no rows of {data!r}; it has: {there}.")
        self.data, self.mine = data, tuple(mine)
        for name, scores in mine.items():
            if name in {row["method"] for row in rows}:
                raise ValueError(f"the scoreboard has a method {name!r} already: give your run another name.")
            rows += _rows(name, scores, data)
        chance = [row["mean"] for row in rows if row["method"] == "chance" and row["mean"] > 0]
        self.classes = round(1 / chance[0]) if chance else None
        self.rows = [row for row in rows if row["method"] != "chance"]
        self.counts = tuple(sorted({row["labels_per_class"] for row in self.rows}))
        self.at = 10 if 10 in self.counts else self.counts[0]
        self.span = (self.counts[0], self.counts[-1])
        found = sorted({row["budget"] for row in self.rows if row["method"] not in mine})
        self.budgets = [*found, "both"] if len(found) > 1 else found
        self.budget = "lesson" if "lesson" in found else found[0]
        controls = [name for name in plots.STYLE if any(row["method"] == name for row in self.rows)]
        learned = {row["method"] for row in self.rows} - {*controls, *mine}
        best = sorted(learned, key=lambda name: -self._mean(name))
        self.methods = [*mine, *controls, *sorted(learned)]
        self.chosen = {*mine, *(c for c in scoreboard.CONTROLS if c in controls), *best[:BEST]}
        self.looks = self._looks(sorted(learned))

    def _mean(self, method: str) -> float:
        found = self._find(method, self.budget, self.at)
        return found["mean"] if found else 0.0

    def _looks(self, learned: list[str]) -> dict[str, plots.Look]:
        """A look for every curve there can be, so that none changes when another one comes or goes."""
        looks: dict[str, plots.Look] = {}
        for i, name in enumerate(learned):
            tint, marker = plots.BLUES[i % len(plots.BLUES)], MARKERS[i % len(MARKERS)]
            looks |= {name: (tint, marker, "-"), f"{name} (long)": (tint, marker, "--")}
        return looks | {name: (plots.ACCENT, "*Xop"[i % 4], "-") for i, name in enumerate(self.mine)}

    # -------------------------------------------------------------------------------------------------- what is chosen

    def choose(self, method: str, shown: bool) -> None:
        (self.chosen.add if shown else self.chosen.discard)(method)

    def to(self, span: tuple[int, int]) -> None:
        """Show the numbers of labels from … to …; what is compared stays among them."""
        self.span = span
        self.at = min(max(self.at, span[0]), span[1])

    def compare_at(self, count: int) -> None:
        """Compare at this number of labels a class; it is shown, too."""
        self.at = count
        self.span = (min(self.span[0], count), max(self.span[1], count))

    # -------------------------------------------------------------------------------------------------- what it gives

    def _find(self, method: str, budget: str, count: int) -> dict | None:
        where = {} if self._any_budget(method) else {"budget": budget}
        found = scoreboard.find({"rows": self.rows}, method=method, labels_per_class=count, **where)
        return found[0] if found else None

    def _any_budget(self, method: str) -> bool:
        """Controls are not pretrained, and the reader's own runs are shown whatever they took."""
        return method in plots.STYLE or method in self.mine

    def curves(self) -> dict[str, dict[int, dict]]:
        """The rows that are shown, by name and number of labels; the highest curve at its end first."""
        found: dict[str, dict[int, dict]] = {}
        for method in (m for m in self.methods if m in self.chosen):
            budgets = [b for b in self.budgets if b != "both"] if self.budget == "both" else [self.budget]
            for budget in budgets[:1] if self._any_budget(method) else budgets:
                name = f"{method} (long)" if budget == "long" and not self._any_budget(method) else method
                rows = {c: self._find(method, budget, c) for c in self.counts if self.span[0] <= c <= self.span[1]}
                if points := {c: row for c, row in rows.items() if row}:
                    found[name] = points
        return dict(sorted(found.items(), key=lambda item: -item[1][max(item[1])]["mean"]))

    def verdicts(self) -> list[dict[str, Any]]:
        """For every curve with a row at `at`: its row, and for each control "better", "worse", "" or, where there is
        no such row or it is the control itself, None."""
        found = []
        for name, points in self.curves().items():
            row = points.get(self.at)
            if row is None:
                continue
            against: dict[str, str | None] = {}
            for kind in scoreboard.CONTROLS:
                control = scoreboard.control_of(row, kind, self.rows)
                own = row["method"] in plots.STYLE and plots.colour(row["method"]) == plots.colour(kind)
                against[kind] = None if control is None or own else scoreboard.verdict(row, control)
            found.append({"name": name, "row": row, **against})
        return sorted(found, key=lambda line: -line["row"]["mean"])

    def lines(self) -> list[tuple[str, ...]]:
        """The table, its head first: name, mean ± std, block, and the two verdicts."""
        head = ("method", f"accuracy, {self._count()}", "block", "beside random", "beside supervised")
        body: list[tuple[str, ...]] = [head]
        for line in self.verdicts():
            row = line["row"]
            words = ("–" if line[kind] is None else VERDICTS[line[kind]] for kind in scoreboard.CONTROLS)
            block = str(_block(row) or "–")
            name = f"{line['name']} (yours)" if line["name"] in self.mine else line["name"]
            body.append((name, f"{row['mean']:.2f} ± {row['std']:.2f}", block, *words))
        return body

    def _count(self) -> str:
        return f"{self.at} {'label' if self.at == 1 else 'labels'} a class"

    def html(self) -> str:
        cell = 'style="padding: 2px 14px 2px 0; text-align: left"'
        head, *body = ([html.escape(text) for text in line] for line in self.lines())
        top = "".join(f'<th scope="col" {cell}>{text}</th>' for text in head)
        rows = "".join("<tr>" + "".join(f"<td {cell}>{text}</td>" for text in line) + "</tr>" for line in body)
        return f'<table style="font-size: 1.15em; line-height: 1.5"><tr>{top}</tr>{rows}</table>'

    def sentence(self) -> str:
        found = self.verdicts()
        if not found:
            return f"Nothing that is chosen has been measured with {self._count()} on {self.data}."
        best = found[0]
        text = f"With {self._count()} of {self.data}, {best['name']} is highest of those shown: "
        text += f"{best['row']['mean']:.2f} ± {best['row']['std']:.2f}. "
        for kind in scoreboard.CONTROLS:
            for word, says in (("better", "Better than"), ("worse", "Worse than"), ("", "Not told apart from")):
                names = [line["name"] for line in found if line[kind] == word]
                text += f"{says} {kind}: {'; '.join(names)}. " if names else ""
        blocks: dict[int, list[str]] = {}
        for line in found:
            if (block := _block(line["row"])) is not None:
                blocks.setdefault(block, []).append(line["name"])
        if blocks:
            each = ", ".join(f"block {b} ({'; '.join(names)})" for b, names in sorted(blocks.items()))
            text += f"The probe reads, as chosen on validation, {each}. "
        shown = {row["method"] for points in self.curves().values() for row in points.values()}
        if lacking := [m for m in self.methods if m in self.chosen and m not in shown]:
            text += f"Not measured with this budget: {'; '.join(lacking)}. "
        return text + "Better and worse: the 95 % intervals do not overlap."

    def draw(self) -> Drawing:
        curves = self.curves()
        if not curves:
            figure = plots.Figure(figsize=(9.6, 4.6), layout="constrained")
            figure.text(0.5, 0.5, "choose a method", ha="center", fontsize=16)
            return figure, self.sentence()
        title = f"{self.data}, budget: {self.budget}"
        figure = plots.label_efficiency(curves, self.classes, title, self.looks)
        figure.set_size_inches(9.6, max(4.8, 0.6 + 0.27 * (len(curves) + 1)))  # the legend has a line a curve
        (axis,) = figure.axes
        for line in axis.get_lines():
            line.set(linewidth=2, markersize=7)
            if line.get_label() in self.mine:
                line.set(linewidth=4, markersize=13, zorder=5, markeredgecolor="black")
        axis.axvline(self.at, color="black", linestyle=":", linewidth=1.2)
        axis.legend(frameon=False, fontsize=12, loc="upper left", bbox_to_anchor=(1, 1))
        axis.tick_params(labelsize=12)
        for text in (axis.xaxis.label, axis.yaxis.label, axis.title):
            text.set_fontsize(13)
        return figure, self.sentence()

    def still(self) -> Drawing:
        """The same, with the table in the text."""
        figure, said = self.draw()
        lines = self.lines()
        widths = [max(map(len, column)) for column in zip(*lines)]
        table = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines]
        return figure, "\n".join([said, "", *table])


def _block(row: dict) -> int | None:
    """The block that the probe reads, counted from 1; None where there is no encoder, or none was chosen."""
    return None if row["block"] is None or row["method"] == "pixels" else row["block"] + 1


def _rows(name: str, scores: Any, data: str) -> list[dict]:
    """A run of the reader's as rows of the scoreboard."""
    if not isinstance(scores, Mapping) or not scores:
        what = "an empty mapping" if isinstance(scores, Mapping) else type(scores).__name__
        raise ValueError(
            f"the run {name!r} is {what}; expected a score for each number of labels a class, as "
            "evaluate.label_efficiency(encoder, splits) returns."
        )
    rows = []
    for count, score in scores.items():
        figures = score.json() if isinstance(score, Score) else score
        needed = ("mean", "std", "low", "high")
        if not isinstance(figures, Mapping) or any(key not in figures for key in needed):
            raise ValueError(
                f"the run {name!r} has {figures!r} for {count} labels; expected a Score, or a mapping with "
                f"{', '.join(needed)}."
            )
        row = {key: figures[key] for key in needed} | {"method": name, "data": data, "budget": "yours"}
        rows.append(row | {"labels_per_class": int(count), "block": figures.get("block")})
    return rows
