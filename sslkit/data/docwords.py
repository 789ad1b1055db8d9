"""docwords: the docstrings of eight Python libraries that are installed anyway. English technical prose, by library.

The sources are read with `ast`; nothing of them is imported or run. What is kept:

- prose: paragraphs of which three words in five are words of letters. Examples (>>>) and directives (..) are left out,
  and so are the signs of the markup (` and *, roles, underlines).
- once: a paragraph that shares 8 tokens in a row with one that was read before is left out. Docstrings are copied from
  function to function, and a test on copies would measure memory.
- at most `LARGEST` tokens a library, modules in an order that only their names decide, and no tests.

A module is a file, and belongs to one split as a whole: about a tenth of each library's tokens to val and to test.
Other versions of the libraries are another corpus. Its hash, the same for all splits, says which one it is.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sysconfig
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from sslkit import names, words
from sslkit.data import stream
from sslkit.data.root import data_root, make_folder
from sslkit.data.split import Passages, text_fingerprint

VERSION = 1
LENGTH = 128  # tokens of a passage; the last one of a module has a quarter of it or more
LARGEST = 150_000  # tokens of a library
SPLITS = ("train", "val", "test")
# Where a library lies, by the name of its package, and the name under which it is installed.
LIBRARIES = {
    "matplotlib": "matplotlib",
    "networkx": "networkx",
    "numpy": "numpy",
    "python": "",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "sympy": "sympy",
    "torch": "torch",
}

_HELD_OUT = 0.1  # of each library's tokens, to val and again to test
_COPIED = 8  # tokens in a row that no two paragraphs share
_NOT_READ = {"test", "tests", "testing", "idlelib", "site-packages", "dist-packages"}
_NOT_READ |= {"externals", "_external", "_vendor", "extern"}  # other projects' code

_ROLE = re.compile(r":[a-z:+-]+:`~?([^`]*)`")
_RULE = re.compile(r"^(?:[^\w\n]|_)+$", re.MULTILINE)  # a line of signs alone
_BLANK = re.compile(r"\n\s*\n")


def load(split: str = "train", *, root: str | Path | None = None, progress: bool = True) -> Passages:
    """Load one split; the first call reads the libraries, and later ones what is kept under the data root's `cache/`.

    `sources` are modules. Raises ValueError for an unknown split, and where a library or its source is not there.
    """
    names.pick(split, SPLITS, "split of docwords")
    corpus = _corpus(data_root(root), progress)
    rows = corpus["splits"][split]
    return Passages(
        texts=tuple(row[2] for row in rows),
        labels=torch.tensor([row[0] for row in rows]),
        classes=tuple(LIBRARIES),
        sources=torch.tensor([row[1] for row in rows]),
        name="docwords",
        split=split,
        hash=corpus["hash"],
    )


def versions() -> dict[str, str]:
    """The versions of the libraries, which decide what the corpus holds."""
    found = {}
    for library, distribution in LIBRARIES.items():
        try:
            found[library] = importlib.metadata.version(distribution) if distribution else platform.python_version()
        except importlib.metadata.PackageNotFoundError as error:
            raise ValueError(_missing(library)) from error
    return found


def _missing(library: str) -> str:
    name = LIBRARIES[library] or "the source of the standard library"
    return f"docwords reads the docstrings of {', '.join(LIBRARIES)}, and {name} is not installed here. Install it."


def _corpus(root: Path, progress: bool) -> dict:
    """{"hash", "versions", "splits": {split: [[label, module, text], …]}}, from the cache if it is there."""
    installed = versions()
    facts = {"version": VERSION, "largest": LARGEST, "versions": installed}
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    path = root / "cache" / f"docwords-{key}.json"
    if (known := stream.load(path)) and known.get("facts") == facts:
        return known
    splits = _read(progress)
    rows = [row for split in SPLITS for row in splits[split]]
    found = text_fingerprint([row[2] for row in rows], torch.tensor([row[:2] for row in rows]))
    corpus = {"facts": facts, "hash": f"v{VERSION}-{found}", "splits": splits}
    try:
        make_folder(path.parent, "the docstrings of docwords")
        stream.save(path, corpus)
    except OSError as error:
        warnings.warn(f"docwords could not be kept, so every load reads it again: {error}", stacklevel=4)
    return corpus


def _read(progress: bool) -> dict[str, list]:
    """Read all libraries: rows [label, module, text] of every split."""
    splits: dict[str, list] = {split: [] for split in SPLITS}
    seen = _Seen()
    modules = 0
    with tqdm(total=len(LIBRARIES) * LARGEST, desc="reading docstrings", unit=" tokens", disable=not progress) as bar:
        for label, library in enumerate(LIBRARIES):
            texts, left = [], LARGEST
            for path in _modules(library):
                if left <= 0:
                    break
                if pieces := words.cut("\n\n".join(_new_paragraphs(path, seen)), LENGTH):
                    size = sum(len(words.tokenise(piece)) for piece in pieces)
                    texts.append((size, pieces))
                    bar.update(min(size, left))
                    left -= size
            bar.total -= max(left, 0)
            if not texts:
                raise ValueError(_missing(library))
            for split, (_, pieces) in zip(_assigned([size for size, _ in texts]), texts, strict=True):
                splits[split] += [[label, modules, piece] for piece in pieces]
                modules += 1
    return splits


def _assigned(sizes: list[int]) -> Iterator[str]:
    """The split of every module, given their tokens: val until it has its share, then test, then train."""
    share, done = _HELD_OUT * sum(sizes), 0
    for size in sizes:
        yield "val" if done < share else "test" if done < 2 * share else "train"
        done += size


def _modules(library: str) -> list[Path]:
    """The library's source files, in the order of the hashes of their names: a new file moves no other one."""
    if library == "python":
        folder = Path(sysconfig.get_paths()["stdlib"])
    else:
        spec = importlib.util.find_spec(library)
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(_missing(library))
        folder = Path(spec.submodule_search_locations[0])
    found = []
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_READ and not name.startswith((".", "__"))]
        found += [Path(here, name) for name in files if name.endswith(".py")]
    return sorted(found, key=lambda path: hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest())


class _Seen:
    """Which rows of `_COPIED` tokens were read before. Numbers in place of words: their hash is the same everywhere."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.rows: set[int] = set()

    def copied(self, tokens: list[str]) -> bool:
        """Whether a paragraph shares a row with one before it; if not, it is remembered."""
        ids = [self.numbers.setdefault(token, len(self.numbers)) for token in tokens]
        rows = {hash(tuple(ids[i : i + _COPIED])) for i in range(max(1, len(ids) - _COPIED + 1))}
        if rows & self.rows:
            return True
        self.rows |= rows
        return False


def _new_paragraphs(path: Path, seen: _Seen) -> Iterator[str]:
    source = path.read_bytes()
    if b'"""' not in source and b"'''" not in source:
        return
    try:
        with warnings.catch_warnings(), _without_collector():
            warnings.simplefilter("ignore")  # about the libraries' own code
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # a template, or made for another Python
        return
    for docstring in _docstrings(tree):
        for paragraph, tokens in prose(docstring):
            if not seen.copied(tokens):
                yield paragraph


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """A syntax tree is some 10,000 objects without a cycle; to look for cycles meanwhile would double the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _docstrings(node: ast.AST) -> Iterator[str]:
    """The docstrings in a module, a class or a function, in the order of the source."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield ast.get_docstring(node) or ""
    # Statements alone: to look into every expression (ast.walk) would take as long as parsing.
    for statement in getattr(node, "body", ()):
        if hasattr(statement, "body"):
            yield from _docstrings(statement)


def prose(docstring: str) -> Iterator[tuple[str, list[str]]]:
    """The paragraphs of a docstring that are prose, without markup, and their tokens."""
    text = _RULE.sub("", _ROLE.sub(r"\1", docstring)).replace("`", "").replace("*", "")
    for paragraph in _BLANK.split(text):
        if ">>>" in paragraph or paragraph.lstrip().startswith(".."):
            continue
        paragraph = textwrap.dedent(paragraph).strip()
        tokens = words.tokenise(paragraph)
        letters = sum(len(token) > 1 and token.isalpha() for token in tokens)
        if len(tokens) >= 4 and letters >= 0.6 * len(tokens):
            yield paragraph, tokens
