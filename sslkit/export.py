"""An encoder out of sslkit, to be used without it, and the model card that goes with it.

    encoder.pt2            the whole encoder as a program, by torch.export; torch alone runs it, on any batch size
    encoder.onnx           the same for ONNX runtimes; needs the extra `export`
    encoder.safetensors    the weights alone; needs the extra `export`

Programs take float images (N, C, H, W) in [0, 1], of the height and width that they were exported for, and give
embeddings (N, D). Normalisation is in them.
"""

from __future__ import annotations

import copy
import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sslkit import checkpoint, evaluate, names, nets, scoreboard

KINDS = {".pt2": (), ".onnx": ("onnx", "onnxscript"), ".safetensors": ("safetensors",)}


def save(encoder: nets.Encoder, path: str | Path, size: tuple[int, int] = (32, 32)) -> Path:
    """Write the encoder to `path`; its suffix, one of `KINDS`, says how. `size` is the images' height and width.

    Raises ValueError for another suffix, ModuleNotFoundError if the extra is missing, and OSError if nothing can be
    written there.
    """
    path = Path(path)
    kind = names.pick(path.suffix, KINDS, "kind of export", hint="Give the file one of these suffixes.")
    if missing := [name for name in KINDS[kind] if importlib.util.find_spec(name) is None]:
        raise ModuleNotFoundError(f'{kind} needs {" and ".join(missing)}: pip install "sslkit[export]".')
    encoder = copy.deepcopy(encoder).cpu().eval()
    content = _weights(encoder) if kind == ".safetensors" else _program(encoder, size, kind)
    return checkpoint.write_bytes(path, content)


def _weights(encoder: nn.Module) -> bytes:
    from safetensors.torch import save as packed

    return packed({name: value.contiguous() for name, value in encoder.state_dict().items()})


def _program(encoder: nets.Encoder, size: tuple[int, int], kind: str) -> bytes:
    example, batch = torch.zeros(2, encoder.channels, *size), torch.export.Dim("N", min=1)
    if kind == ".onnx":
        graph = torch.onnx.export(encoder, (example,), dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
        assert graph is not None
        return graph.model_proto.SerializeToString()
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(encoder, (example,), dynamic_shapes=({0: batch},)), buffer)
    return buffer.getvalue()


# ---- the model card --------------------------------------------------------------------------------------------------


def card(content: dict, table: dict | None = None, own: Mapping[int, evaluate.Score] | None = None) -> str:
    """What a checkpoint is, where it comes from and what it is not, as Markdown.

    `content` is what checkpoint.load gives; `own` is what this very encoder is worth, as evaluate.label_efficiency
    returns it; without it the rows of the scoreboard `table` for this method are cited.
    """
    parts: dict[str, Tensor] = content["encoder"]
    count = sum(value.numel() for value in parts.values() if value.is_floating_point())
    net, history, settings = content["net"], content["history"], dict(content["settings"])
    if settings.get("steps"):
        settings.pop("epochs", None)  # TrainConfig: where the steps are given, the epochs do not count
    lines = [
        f"# {content['method']} on {content['data']}",
        "",
        f"An encoder of images, trained without labels by sslkit {content['sslkit']}.",
        "",
        "| | |",
        "|---|---|",
        f"| method | {content['method']} |",
        f"| data | {content['data']}, hash {content['data_hash'] or 'not known'} |",
        f"| net | {', '.join(f'{key} {value}' for key, value in net.items())} |",
        f"| numbers in it | {count:,} |",
        f"| trained for | {_trained(content)} |",
        f"| settings | {', '.join(f'{key} {value}' for key, value in settings.items())} |",
        "",
        "**Input:** float images (N, C, H, W) in [0, 1], of "
        f"{net.get('channels', 3)} channel(s); normalisation is inside. **Output:** embeddings (N, D).",
        "",
        "## What it is worth",
        "",
        *(_measured(own) if own else _worth(content, table)),
        "",
        "## Limits",
        "",
        f"- It has seen {content['data']} and nothing else. On other images measure it first, against raw pixels, a "
        "random encoder and supervised training: `python -m sslkit evaluate FILE --data folder:PATH`.",
        "- What the augmentations made equal, such as colours, it cannot tell apart.",
        "- A loss that fell says that the pretext task was learned, and not that the embedding is good for yours.",
    ]
    if not history:
        lines.append("- It was saved before the end of its first epoch.")
    return "\n".join(lines) + "\n"


def _trained(content: dict) -> str:
    history = content["history"]
    if not history:
        return f"{content['seconds']:.0f} s"
    return f"{len(history)} epochs, {content['seconds']:.0f} s; loss {history[-1]['loss']:.3f} in the last epoch"


def _measured(own: Mapping[int, evaluate.Score]) -> list[str]:
    return [
        "Measured on this encoder, frozen: test accuracy of a linear probe, mean and standard deviation over draws of "
        "labels.",
        "",
        "| labels a class | draws | accuracy |",
        "|---|---|---|",
        *[f"| {count} | {len(score.runs)} | {score.mean:.3f} ± {score.std:.3f} |" for count, score in own.items()],
    ]


def _worth(content: dict, table: dict | None) -> list[str]:
    rows = [] if table is None else scoreboard.of_data(table, content["data"])
    rows = scoreboard.find({"rows": rows}, method=content["method"], task="probe")
    if not rows:
        return ["The scoreboard has no row for this method on this data. Measure it: `python -m sslkit evaluate FILE`."]
    measured = [
        f"| {row['budget']} | {_labels(row)} | {row['mean']:.3f} ± {row['std']:.3f} |"
        for row in sorted(rows, key=lambda row: (row["data"], row["budget"], row["labels_per_class"]))
    ]
    return [
        "Runs of the course's recipe for this method (another seed or other settings give other figures): test "
        "accuracy of a linear probe on the frozen encoder.",
        "",
        "| budget | labels a class | accuracy |",
        "|---|---|---|",
        *measured,
    ]


def _labels(row: dict) -> str:
    """How many a class, and of what where images have several labels: "10 of speed"."""
    return " of ".join([str(row["labels_per_class"]), *row["data"].split(": ")[1:]])
