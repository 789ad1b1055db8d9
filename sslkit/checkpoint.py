"""Save and load an encoder with its method: atomically, and without pickled code."""

from __future__ import annotations

import contextlib
import errno
import glob
import io
import os
import pickle
import platform
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
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

    A reader sees the old file or the new one, never half of it. Raises OSError, with the folder, if it cannot be
    written.
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
    return write(path, content)


def write(path: Path, content: dict) -> Path:
    """Write `content`, tensors and plain values, to the file at `path`, as `write_bytes` does.

    NumPy's numbers become plain ones: `read` takes no other, and a learning rate or a callback's record may hold some.
    """
    pickled = io.BytesIO()
    torch.save(_plain(content), pickled)  # not into the file: torch would hide why a disk refused it
    return write_bytes(path, pickled.getbuffer())


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:  # not a state_dict, which is an OrderedDict with facts of its own, and holds tensors
        return {_plain(key): _plain(one) for key, one in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def write_bytes(path: Path, content: bytes | memoryview) -> Path:
    """Write the file at `path` in one step: whoever reads it, at whatever moment this process is killed, finds the old
    file or the new one, whole.

    Raises OSError where nothing can be written there, or where the disk is full; the old file is then as it was.
    """
    folder = path.parent.absolute()
    temporary = folder / f".{path.name}.{platform.node()}-{os.getpid()}.part"  # not mkstemp: only its owner may read it
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder, path.name)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or the name could reach the disk before the content
        os.replace(temporary, path)
        _sync(folder)
    except OSError as error:
        _remove(temporary)
        raise OSError(_why_not(error, folder, len(content))) from error
    except BaseException:
        _remove(temporary)
        raise
    return path


def _clear(folder: Path, name: str) -> None:
    """Remove what processes of this machine were writing when they were killed."""
    for left in folder.glob(f".{glob.escape(name)}.{glob.escape(platform.node())}-*.part"):
        number = left.name.removesuffix(".part").rpartition("-")[2]
        if os.name == "posix" and number.isdigit() and not _alive(int(number)):
            _remove(left)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # no signal is sent
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Let the new name reach the disk too, where the system can be asked for that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # some network file systems refuse
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _why_not(error: OSError, folder: Path, needed: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(folder).free
        return (
            f"no room in {folder}: {needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free "
            f"({error.strerror}). Free some space, or choose another place with --out. What was there before is kept."
        )
    return f"cannot write to {folder} ({error.strerror}). Choose another place with --out."


def load(path: str | Path) -> dict:
    """The content of a checkpoint, on the CPU. Raises FileNotFoundError, or ValueError if it is not one of ours."""
    path = Path(path)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.pt")) if path.parent.is_dir() else []
        beside = f" Beside it there are: {', '.join(near[:5])}." if near else ""
        raise FileNotFoundError(
            f"no checkpoint at {path}.{beside} Make one: python -m sslkit pretrain simclr --out FILE.pt"
        )
    content = read(path, _EXPECTED)
    if not isinstance(content, dict) or not _KEYS <= content.keys():
        found = sorted(map(str, content))[:6] if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path} is a PyTorch file, but not an sslkit checkpoint (it holds {found}). {_EXPECTED}")
    if content["format"] != FORMAT:
        raise ValueError(
            f"{path} has checkpoint format {content['format']}; this sslkit reads {FORMAT}. Update sslkit."
        )
    return content


def read(path: Path, expected: str) -> object:
    """What a file holds that `write` has written, on the CPU. Raises ValueError, with what was expected, if it is
    damaged, or holds more than tensors and plain values."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} cannot be loaded: it is not a PyTorch file, or one that was cut off. {expected}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "it holds pickled Python objects, which could run code when loaded, so it was refused"
        raise ValueError(f"{path} cannot be loaded: {reason}. {expected}") from error
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise ValueError(f"{path} cannot be loaded: it is damaged ({_first_line(error)}). {expected}") from error


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
    encoder, state = nets.build_reader(content["net"]), content["method_state"]
    at_every_place = not isinstance(encoder, nets.ContextNet)  # whose head may be the embeddings of the words
    tied = at_every_place and torch.equal(state["head.weight"], state["encoder.embed.weight"])
    method = methods.on_words(encoder, **({"tied": tied} if at_every_place else {}))
    method.load_state_dict(state)
    return method.eval(), words.Vocabulary(tuple(content["vocabulary"]))


_EXPECTED = "Expected a file written by `python -m sslkit pretrain … --out FILE.pt`."


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
