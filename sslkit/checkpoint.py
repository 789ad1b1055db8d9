"""Save and load an encoder with its method: atomically, and without pickled code."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import torch

from sslkit import __version__, methods, nets, words

FORMAT = 1
_KEYS = {"format", "encoder", "net", "method", "data", "settings", "history"}


def save(
    path: str | Path,
    method: methods.Method | methods.OnWords,
    *,
    name: str,
    data: str,
    data_hash: str = "",
    settings: dict | None = None,
    history: list[dict] | None = None,
    seconds: float = 0.0,
    vocabulary: words.Vocabulary | None = None,
) -> Path:
    """Write the method's encoder, the whole method, and how both came about to `path`.

    `name` is the method's, `data` and `data_hash` say what it was trained on, `settings` is its TrainConfig as a dict.
    A method on words comes with its `vocabulary`, without which its numbers mean nothing.

    The file is written beside `path` and moved there when it is whole: a reader sees the old file or the new one.
    Raises OSError, with the folder, if it cannot be written.
    """
    path = Path(path)
    encoder = method.encoder
    content = {
        "format": FORMAT,
        "sslkit": __version__,
        "net": encoder.config(),
        "encoder": {k: v.cpu() for k, v in encoder.state_dict().items()},
        "method": name,
        "method_state": {k: v.cpu() for k, v in method.state_dict().items()},
        "data": data,
        "data_hash": data_hash,
        "settings": settings or {},
        "history": history or [],
        "seconds": seconds,
    }
    if vocabulary is not None:
        content["vocabulary"] = list(vocabulary.words)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{os.getpid()}.part"  # not mkstemp, whose files only the owner can read
        file = temporary.open("wb")
    except OSError as error:
        raise OSError(
            f"cannot write to {path.parent.absolute()} ({error.strerror}). Choose another place with --out."
        ) from error
    try:
        with file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def load(path: str | Path) -> dict:
    """The content of a checkpoint, on the CPU. Raises FileNotFoundError, or ValueError if it is not one of ours."""
    path = Path(path)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.pt")) if path.parent.is_dir() else []
        beside = f" Beside it there are: {', '.join(near[:5])}." if near else ""
        raise FileNotFoundError(
            f"no checkpoint at {path}.{beside} Make one: python -m sslkit pretrain simclr --out FILE.pt"
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} cannot be loaded: it is not a PyTorch file, or one that was cut off. {_EXPECTED}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "it holds pickled Python objects, which could run code when loaded, so it was refused"
        raise ValueError(f"{path} cannot be loaded: {reason}. {_EXPECTED}") from error
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise ValueError(f"{path} cannot be loaded: it is damaged ({_first_line(error)}). {_EXPECTED}") from error
    if not isinstance(content, dict) or not _KEYS <= content.keys():
        found = sorted(map(str, content))[:6] if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path} is a PyTorch file, but not an sslkit checkpoint (it holds {found}). {_EXPECTED}")
    if content["format"] != FORMAT:
        raise ValueError(
            f"{path} has checkpoint format {content['format']}; this sslkit reads {FORMAT}. Update sslkit."
        )
    return content


def load_encoder(path: str | Path) -> nets.Encoder:
    """The encoder of a checkpoint, ready to evaluate."""
    return encoder_of(load(path))


def encoder_of(content: dict) -> nets.Encoder:
    """The encoder in the content of a checkpoint. Raises ValueError for a network on words: see load_reader."""
    if content["net"]["net"] in nets.TEXT_NETS:
        raise ValueError(
            f"this checkpoint holds a {content['method']} network, trained on {content['data']}: it reads words, and "
            "an encoder of images was asked for. In Python: checkpoint.load_reader(path)."
        )
    encoder = nets.build(content["net"])
    encoder.load_state_dict(content["encoder"])
    return encoder.eval()


def load_reader(path: str | Path) -> tuple[methods.OnWords, words.Vocabulary]:
    """The method on words of a checkpoint, ready to predict and to write, and its vocabulary."""
    content = load(path)
    if content["net"]["net"] not in nets.TEXT_NETS or "vocabulary" not in content:
        raise ValueError(
            f"{path} holds a {content['method']} of images, and no network on words. Make one: "
            "python -m sslkit pretrain next-word --data docwords --out FILE.pt"
        )
    method = methods.on_words(nets.build_reader(content["net"]))
    method.load_state_dict(content["method_state"])
    return method.eval(), words.Vocabulary(tuple(content["vocabulary"]))


_EXPECTED = "Expected a file written by `python -m sslkit pretrain … --out FILE.pt`."


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
