"""Fetch MathJax once, check it, and lay out the one file that the pages need: pip has none. `make site` calls it."""

from __future__ import annotations

import base64
import hashlib
import sys
import tarfile
import urllib.request
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[2] / "build" / "vendor"
URL = "https://registry.npmjs.org/mathjax/-/mathjax-3.2.2.tgz"
# As the registry states it for this version; another version needs another one.
INTEGRITY = "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
# All of TeX and the SVG output in one script, so that no page loads a second one.
MEMBERS = {"package/es5/tex-svg-full.js": "tex-svg-full.js", "package/LICENSE": "LICENSE"}


def integrity(data: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()


def fetch(url: str, archive: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read()
    except OSError as error:
        raise SystemExit(
            f"Could not fetch {url}: {error}. The pages need it once, for their formulas. Go online and try again, "
            f"or put the file there by hand: {archive}"
        ) from error
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(data)


def unpack(archive: Path, folder: Path, expected: str = INTEGRITY) -> None:
    came = integrity(archive.read_bytes())
    if came != expected:
        raise SystemExit(
            f"{archive} is not what was pinned: its hash is {came}, expected was {expected}. "
            "The download was cut off or changed on the way: delete the file and run `make site` again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as package:
        for member, name in MEMBERS.items():
            content = package.extractfile(member)
            assert content is not None, f"{member} is no file in {archive}"
            (folder / name).write_bytes(content.read())


def main(url: str = URL, vendor: Path = VENDOR) -> None:
    archive = vendor / url.rpartition("/")[2]
    if not archive.exists():
        print(f"Fetching {url} …", file=sys.stderr)
        fetch(url, archive)
    unpack(archive, vendor / "static" / "mathjax")


if __name__ == "__main__":
    main()
