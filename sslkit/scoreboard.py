"""The course's growing table: one row a result, in notebooks/scoreboard.json.

    {"rows": [{"method": "simclr", "data": "photodigits", "data_hash": "v1-…", "task": "probe", "budget": "lesson",
               "labels_per_class": 10, "metric": "accuracy", "mean": 0.78, "std": 0.02, "low": 0.76, "high": 0.80,
               "pretrain_seeds": 3, "label_draws": 10, "pretrain_seconds": 80.0, "block": 3, "settings": {…}}, …],
     "made_with": {"sslkit": "0.1.0", "torch": "2.14.1", "device": "cpu, 2 threads"}}

`mean` and `std` are over pretrain_seeds × label_draws runs; `low` and `high` bound a 95 % interval from a bootstrap
over the test handwritings: what other digits of the same writers would give over the same photographs, not what another
training would; `pretrain_seconds` is the median over the seeds. `budget` is "lesson" or "long". A row's key is method,
data, task, budget, labels_per_class.
Where images have several labels, each is a data set of its own: "movingdigits: speed".
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

KEY = ("method", "data", "task", "budget", "labels_per_class")
FIELDS = (
    *KEY,
    *("data_hash", "metric", "mean", "std", "low", "high", "pretrain_seeds", "label_draws", "pretrain_seconds"),
    *("block", "settings"),
)
CONTROLS = ("random", "supervised")  # an encoder that was not trained; all of the network trained on the few labels
FILE = Path(__file__).parent.parent / "notebooks" / "scoreboard.json"


def load(path: str | Path = FILE) -> dict:
    """The table: {"rows": […], "made_with": {…}}; an empty one if there is no file yet."""
    path = Path(path)
    if not path.exists():
        return {"rows": [], "made_with": {}}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        check(table)
    except (json.JSONDecodeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a scoreboard: {error}. Restore it, or move it away to start an empty one."
        ) from error
    return table


def check(table: dict) -> None:
    """Raise ValueError if the table does not have the form that is documented above."""
    table = table if isinstance(table, dict) else {}
    if not isinstance(table.get("rows"), list) or not isinstance(table.get("made_with"), dict):
        raise ValueError('expected {"rows": [...], "made_with": {...}}')
    for i, row in enumerate(table["rows"]):
        if not isinstance(row, dict):
            raise ValueError(f"row {i} is {row!r}; expected an object with the fields {', '.join(FIELDS)}")
        if missing := [f for f in FIELDS if f not in row]:
            raise ValueError(f"row {i} ({row.get('method', '?')}) lacks {', '.join(missing)}")


def add(rows: list[dict], path: str | Path = FILE) -> dict:
    """Put rows into the table, each in the place of an older row with the same key, and write it atomically."""
    table = load(path)
    check({"rows": rows, "made_with": {}})
    new = {_key(row): row for row in rows}
    kept = [row for row in table["rows"] if _key(row) not in new]
    table = {"rows": sorted([*kept, *new.values()], key=lambda r: tuple(map(str, _key(r)))), "made_with": _made_with()}
    path = Path(path)
    temporary = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        temporary.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return table


def row(scores: dict, **where) -> list[dict]:
    """Rows from the scores of `evaluate.label_efficiency`: one for each number of labels.

    `where` gives what the scores do not know: method, data, data_hash, task, budget, pretrain_seeds, label_draws,
    pretrain_seconds, settings.
    """
    made = []
    for count, score in scores.items():
        low, high = score.interval()
        figures = {"mean": score.mean, "std": score.std, "low": low, "high": high}
        figures = {key: round(value, 4) for key, value in figures.items()}
        made.append({**where, "labels_per_class": count, "metric": "accuracy", **figures, "block": score.block})
    return made


def find(table: dict, **where) -> list[dict]:
    """The rows that agree with every name given: find(table, data="photodigits", labels_per_class=10)."""
    return [row for row in table["rows"] if all(row.get(key) == value for key, value in where.items())]


def of_data(table: dict, name: str) -> list[dict]:
    """The rows of one data set, whichever of its labels is read: "movingdigits" finds "movingdigits: speed", too."""
    return [row for row in table["rows"] if name in (row["data"], row["data"].split(": ")[0])]


def verdict(row: dict, control: dict) -> str:
    """What the two 95 % intervals say: "better", "worse", or "" where they overlap and neither is shown."""
    return "better" if row["low"] > control["high"] else "worse" if row["high"] < control["low"] else ""


def control_of(row: dict, kind: str, rows: list[dict]) -> dict | None:
    """The control's row with the same kind of encoder, data and labels; None if it is not there."""
    from sslkit import recipes

    recipe = recipes.RECIPES.get(row["method"])
    name = kind if recipe is None or recipe.net == "convnet" else f"{kind}, {recipe.net}"
    same = {"data": row["data"], "labels_per_class": row["labels_per_class"]}
    return next(iter(find({"rows": rows}, method=name, **same)), None)


def render(rows: list[dict]) -> str:
    """The rows as a text table, one line a method and budget, one column a number of labels: mean ± std.

    The last columns hold the verdict on the controls among the rows, at ten labels a class if there are.
    Rows of several data sets are several tables: accuracies on different data have nothing to do with each other.
    """
    if not rows:
        return "no rows yet"
    sets = sorted({r["data"] for r in rows}, key=[r["data"] for r in rows].count, reverse=True)
    if len(sets) > 1:
        return "\n\n".join(f"{name}\n{render([r for r in rows if r['data'] == name])}" for name in sets)
    counts = sorted({r["labels_per_class"] for r in rows})
    lines: dict[tuple, dict] = {}
    for r in rows:
        lines.setdefault((r["data"], r["method"], r["task"], r["budget"]), {})[r["labels_per_class"]] = r
    at = 10 if 10 in counts else counts[0]
    best_last = sorted(lines, key=lambda key: lines[key].get(at, {"mean": 0})["mean"])
    kinds = [kind for kind in CONTROLS if find({"rows": rows}, method=kind)]
    head = f"{'method':<18}{'budget':<7}" + "".join(f"{c:>10}" for c in counts)
    head += "".join(f"{kind[:3]:>4}" for kind in kinds)
    body = []
    for key in best_last:
        cells = (lines[key].get(c) for c in counts)
        text = "".join(f"{'–' if r is None else _mean(r):>10}" for r in cells)
        body.append(f"{key[1]:<18}{key[3]:<7}{text}{_against(lines[key].get(at), kinds, rows)}".rstrip())
    title = f"{'':<25}test accuracy by number of labels a class, mean ± std"
    signs = f"last columns, with {at}: + better, − worse than {' and '.join(kinds)}, = not told apart (95 % intervals)"
    return "\n".join([title, head, "-" * len(head), *body, *([signs] if kinds else [])])


def _against(row: dict | None, kinds: list[str], rows: list[dict]) -> str:
    controls = [row and control_of(row, kind, rows) for kind in kinds]
    signs = {"better": "+", "worse": "−", "": "="}
    return "".join(f"{signs[verdict(row, c)] if row and c and c is not row else '':>4}" for c in controls)


def _mean(row: dict) -> str:
    spread = f" ±{row['std']:.2f}".replace("0.", ".") if row["std"] else ""
    return f"{row['mean']:.2f}{spread}"


def _key(row: dict) -> tuple:
    return tuple(row[name] for name in KEY)


def _made_with() -> dict:
    import torch

    from sslkit import __version__
    from sslkit import device as devices

    versions = {"sslkit": __version__, "python": platform.python_version(), "torch": torch.__version__.split("+")[0]}
    return versions | {"device": devices.describe(devices.pick())}
