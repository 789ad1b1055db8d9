"""folder:PATH: layouts, parts, every kind of picture, what is wrong with a folder, and the cache."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sslkit import data
from sslkit.data import folder as room
from sslkit.data import pictures
from sslkit.data.root import data_root, make_folder
from sslkit.data.split import hold_out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "sslkit-data"))
    return tmp_path / "sslkit-data" / "cache"


def picture(path: Path, colour=(200, 100, 50), size=(8, 8), mode="RGB", **save) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **save)
    return path


def classes(path: Path, **sizes: int) -> Path:
    """`sizes[name]` pictures in each class folder; the first two values of each tell class and number."""
    for k, (name, n) in enumerate(sizes.items()):
        for i in range(n):
            picture(path / name / f"{i:03}.png", (k * 40, i, 7))
    return path


def load(path: Path, split: str = "train", **options) -> data.Split:
    return data.load(f"folder:{path}", split, progress=False, **options)


def all_parts(path: Path, **options) -> dict[str, data.Split]:
    return {split: load(path, split, **options) for split in room.SPLITS}


# ---- layouts and parts ------------------------------------------------------------------------------------------


def test_one_folder_of_classes_is_split_80_10_10_in_every_class(tmp_path):
    parts = all_parts(classes(tmp_path / "pets", cat=40, dog=20))
    assert {split: p.labels.bincount().tolist() for split, p in parts.items()} == {
        "train": [32, 16],
        "val": [4, 2],
        "test": [4, 2],
    }
    seen = [tuple(row) for p in parts.values() for row in p.images[:, :2, 0, 0].tolist()]
    assert len(set(seen)) == len(seen) == 60
    for p in parts.values():
        assert p.images.dtype == torch.uint8 and p.labels.dtype == torch.int64 and p.images.shape[1:] == (3, 8, 8)
        assert p.classes == ("cat", "dog") and p.name == "folder:pets" and p.skipped == ()
        assert torch.equal(p.images[:, 0, 0, 0].long() // 40, p.labels)  # the picture is of the class that it says
        assert p.hash == data.fingerprint(p.images, p.labels)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 100), st.integers(0, 2**31))
def test_hold_out_is_disjoint_exhaustive_and_proportional(sizes, percent, seed):
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    count = len(labels) * percent // 100
    kept, held = hold_out(labels, count, seed)
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(len(labels)))
    assert torch.equal(held, hold_out(labels, count, seed)[1])
    for n, out in zip(sizes, labels[held].bincount(minlength=len(sizes)).tolist(), strict=True):
        assert out == min(max(n * count // len(labels), 1), n - 1)


def test_the_seed_draws_other_parts_and_the_same_seed_the_same_ones(tmp_path):
    path = classes(tmp_path / "pets", cat=30, dog=30)
    assert load(path, "test").hash == load(path, "test").hash != load(path, "test", seed=1).hash


def test_the_folders_own_parts_are_kept_and_a_missing_one_is_drawn_from_train(tmp_path):
    classes(tmp_path / "own" / "Train", cat=20, dog=20)
    classes(tmp_path / "own" / "test", cat=3, dog=5)
    parts = all_parts(tmp_path / "own")
    assert [len(parts[s]) for s in room.SPLITS] == [36, 4, 8]
    assert set(parts["train"].sources.tolist()).isdisjoint(parts["val"].sources.tolist())

    classes(tmp_path / "own" / "validation", cat=1, dog=1)
    assert [len(p) for p in all_parts(tmp_path / "own").values()] == [40, 2, 8]


def test_train_beside_other_classes_is_a_class(tmp_path):
    assert load(classes(tmp_path / "vehicles", bus=10, car=10, train=10)).classes == ("bus", "car", "train")


def test_classes_two_folders_down_and_below_a_class(tmp_path):
    for alphabet in ("Greek", "Latin"):
        for letter in ("a", "b"):
            for i in range(4):
                picture(tmp_path / "omni" / alphabet / letter / f"{i}.png")
    assert load(tmp_path / "omni", classes_at=2).classes == ("Greek/a", "Greek/b", "Latin/a", "Latin/b")
    assert load(tmp_path / "omni").classes == ("Greek", "Latin")  # a class may hold folders


def test_images_without_classes_are_unlabelled(tmp_path):
    for i in range(20):
        picture(tmp_path / "photos" / f"{i}.jpg")
    train, val = load(tmp_path / "photos"), load(tmp_path / "photos", "val")
    assert (len(train), len(val)) == (18, 2)
    assert train.classes == () and not train.labelled and set(train.labels.tolist()) == {-1}
    with pytest.raises(
        ValueError, match="no test part: without labels there is nothing to test.*put images into test/"
    ):
        load(tmp_path / "photos", "test")
    deep = load(classes(tmp_path / "deep", cat=5, dog=5), classes_at=0)
    assert len(deep) == 9 and not deep.labelled


def test_order_of_the_file_system_does_not_show(tmp_path, monkeypatch):
    path = classes(tmp_path / "pets", cat=15, dog=15)
    before = {split: p.hash for split, p in all_parts(path, root=tmp_path / "one").items()}
    scandir = os.scandir

    class Reversed:
        def __init__(self, path):
            self.entries = sorted(scandir(path), key=lambda e: e.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(os, "scandir", Reversed)
    assert before == {split: p.hash for split, p in all_parts(path, root=tmp_path / "two").items()}


def test_a_corrupt_file_is_named_and_moves_no_other(tmp_path):
    path = classes(tmp_path / "pets", cat=20, dog=20)
    before = all_parts(path)
    (path / "cat" / "003.png").write_bytes((path / "cat" / "003.png").read_bytes()[:40])
    (path / "dog" / "007.png").write_text("no picture")
    skipped = []
    for split in room.SPLITS:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            after = load(path, split)
        skipped += after.skipped
        assert len(after) == len(before[split]) - len(after.skipped)
        assert set(after.sources.tolist()) <= set(before[split].sources.tolist())
        assert len(caught) == bool(after.skipped)
        for w in caught:
            assert w.filename == __file__ and "could not be read and are left out" in str(w.message)
            assert after.skipped[0] in str(w.message)
    assert sorted(s.split(":")[0] for s in skipped) == ["cat/003.png", "dog/007.png"]


def test_hidden_files_other_files_links_and_unicode(tmp_path):
    path = classes(tmp_path / "Bilder ☂", chat=6, été=6)
    (path / "chat" / "notes.txt").write_text("ignored")
    picture(path / "chat" / ".thumb.png")
    picture(path / ".cache" / "x.png")
    picture(path / "__MACOSX" / "x.png")
    other = classes(tmp_path / "elsewhere", bird=6) / "bird"
    (path / "鳥").symlink_to(other)
    (path / "chat" / "round").symlink_to(path)  # back up: must not be followed for ever
    everything = load(path, classes_at=0, seed=3)
    assert len(everything) + len(load(path, "val", classes_at=0, seed=3)) == 18
    assert load(path).classes == ("chat", "été", "鳥")


def test_a_link_to_nowhere_is_named(tmp_path):
    path = tmp_path / "photos"
    for i in range(3):
        picture(path / f"{i}.png")
    for i in range(8):
        (path / f"gone{i}.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(UserWarning, match=r"left out: gone\d.png: No such file"):
        load(path)


# ---- pictures ---------------------------------------------------------------------------------------------------


def pixel(path: Path, channels: int = 3) -> list[int]:
    pixels = pictures.read_image(path, 8, channels)
    assert pixels.shape == (channels, 8, 8) and pixels.dtype == np.uint8
    return pixels[:, 4, 4].tolist()


@pytest.mark.parametrize(
    ("mode", "colour", "ending", "rgb"),
    [
        ("RGB", (200, 100, 50), "png", [200, 100, 50]),
        ("L", 90, "png", [90, 90, 90]),
        ("1", 1, "png", [255, 255, 255]),
        ("P", 0, "gif", [0, 0, 0]),
        ("RGBA", (200, 100, 50, 0), "png", [255, 255, 255]),
        ("RGBA", (200, 100, 50, 255), "png", [200, 100, 50]),
        ("RGBA", (0, 0, 0, 128), "png", [127, 127, 127]),
        ("LA", (10, 0), "png", [255, 255, 255]),
        ("CMYK", (255, 0, 0, 0), "tiff", [0, 255, 255]),
        ("I;16", 65535, "png", [255, 255, 255]),
        ("I;16", 257 * 100, "png", [100, 100, 100]),
        ("I;16", 300, "tiff", [1, 1, 1]),
        ("I", 257 * 100, "tiff", [100, 100, 100]),
        ("F", 0.5, "tiff", [128, 128, 128]),
    ],
)
def test_every_mode_becomes_eight_bits(tmp_path, mode, colour, ending, rgb):
    assert pixel(picture(tmp_path / f"x.{ending}", colour, mode=mode)) == rgb


def test_values_without_a_fixed_range_are_stretched(tmp_path):
    Image.fromarray(np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / "x.tiff")
    pixels = pictures.read_image(tmp_path / "x.tiff", 8, 1)
    assert pixels.min() == 0 and pixels.max() == 255 and (np.diff(pixels.flatten().astype(int)) > 0).all()


def test_a_transparent_colour_of_a_palette_becomes_white(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    image.save(tmp_path / "seen.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert pixel(tmp_path / "seen.png") == [9, 8, 7] and pixel(tmp_path / "clear.png") == [255, 255, 255]


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    image.save(tmp_path / "x.jpg", exif=exif, quality=95)
    pixels = pictures.read_image(tmp_path / "x.jpg", 16, 1)[0]
    assert pixels[:, 12:].min() > 200 and pixels[:, :4].max() < 50  # white is on the right now


def test_of_an_animation_the_first_frame_counts(tmp_path):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert pixel(tmp_path / "x.gif") == [255, 0, 0]


def test_the_shorter_side_is_resized_and_the_middle_kept(tmp_path):
    image = Image.new("RGB", (96, 32), "red")
    image.paste("lime", (32, 0, 64, 32))
    image.save(tmp_path / "x.png")
    assert (
        pictures.read_image(tmp_path / "x.png", 16, 3)[:, 2:-2, 2:-2].reshape(3, -1).T.tolist() == [[0, 255, 0]] * 144
    )


@pytest.mark.parametrize("side", [80, 128, 640])
def test_large_photographs_are_decoded_small_and_look_the_same(tmp_path, side):
    cells = np.random.default_rng(0).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    smooth = Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "x.jpg", quality=95, subsampling=0)
    smooth.save(tmp_path / "x.png")
    jpeg, png = (pictures.read_image(tmp_path / name, 32, 3).astype(int) for name in ("x.jpg", "x.png"))
    assert np.abs(jpeg - png).max() < 20 and np.abs(jpeg - png).mean() < 3


def test_size_and_channels_follow_the_files_unless_stated(tmp_path):
    grey, mixed = tmp_path / "grey", tmp_path / "mixed"
    for i in range(20):
        picture(grey / f"{i}.png", i, (20, 20), "L")
        picture(mixed / f"{i}.png", (i, 0, 0), (20, 20) if i else (20, 30))
    assert load(grey).images.shape[1:] == (1, 20, 20)
    assert load(grey, channels=3, size=16).images.shape[1:] == (3, 16, 16)
    assert load(mixed).images.shape[1:] == load(mixed, "val").images.shape[1:] == (3, 32, 32)
    assert load(mixed, channels=1).images.shape[1:] == (1, 32, 32)
    assert load(mixed, size=20).images.shape[1:] == (3, 20, 20)
    for i in range(3):
        picture(tmp_path / "big" / f"{i}.png", size=(300, 300))
    assert load(tmp_path / "big").images.shape[1:] == (3, 32, 32)


# ---- the cache --------------------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []
    read = pictures.read_image
    monkeypatch.setattr(pictures, "read_image", lambda path, *a: names.append(path.name) or read(path, *a))
    return names


def test_a_second_load_reads_the_cache_and_a_change_is_noticed(tmp_path, cache, decoded):
    path = classes(tmp_path / "pets", cat=10, dog=10)
    first = load(path)
    assert len(decoded) == 20
    assert load(path).hash == first.hash and len(load(path, "val")) and len(decoded) == 20
    picture(path / "cat" / "003.png", (1, 2, 3), compress_level=0)
    assert load(path, seed=0).hash != first.hash and len(decoded) == 40
    picture(path / "cat" / "new.png")
    load(path)
    assert len(decoded) == 61
    assert len(list(cache.iterdir())) == 2  # rows and what stands beside them; the old ones are gone
    load(path, size=16)
    load(path, channels=1)
    assert len(decoded) == 61 + 42 and len(list(cache.iterdir())) == 6


def test_what_could_not_be_read_is_remembered(tmp_path, decoded):
    for part in room.SPLITS:
        classes(tmp_path / "pets" / part, cat=2, dog=2)
    (tmp_path / "pets" / "train" / "cat" / "bad.png").write_bytes(b"")
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 of 5 .*train/cat/bad.png: not an image"):
            split = load(tmp_path / "pets")
        assert split.skipped == ("train/cat/bad.png: not an image, whatever its name says",)
        assert len(split) == 4 and len(decoded) == 5


@pytest.mark.parametrize("content", [b"", b"{broken", b"[1, 2]", b"{}", None])
@pytest.mark.parametrize("ending", [".rows", ".json"])
def test_a_broken_cache_is_not_an_error(tmp_path, cache, decoded, content, ending):
    path = classes(tmp_path / "pets", cat=4, dog=4)
    first = load(path)
    (file,) = cache.glob(f"*{ending}")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert load(path).hash == first.hash and len(decoded) == 16
    assert load(path).hash == first.hash and len(decoded) == 16


def test_a_cache_that_cannot_be_written_is_not_an_error(tmp_path):
    path = classes(tmp_path / "pets", cat=4, dog=4)
    (tmp_path / "file").write_text("in the way")
    expected = load(path)
    with pytest.warns(UserWarning, match="could not be kept.*every load decodes.*cannot write.*SSLKIT_DATA") as caught:
        split = load(path, root=tmp_path / "file")
    assert split.hash == expected.hash and torch.equal(split.images, expected.images)
    assert [w.filename for w in caught] == [__file__]


def test_an_interrupted_write_passes_for_nothing(tmp_path, cache, monkeypatch, decoded):
    path = classes(tmp_path / "pets", cat=4, dog=4)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            load(path)
    assert [file.suffix for file in cache.iterdir()] == [".part"]
    assert len(load(path)) == 4 and len(decoded) == 16
    assert sorted(file.suffix for file in cache.iterdir()) == [".json", ".rows"]


# ---- what can be wrong ------------------------------------------------------------------------------------------


def test_a_missing_folder_offers_what_is_near(tmp_path):
    classes(tmp_path / "pictures", cats=2, dogs=2)
    with pytest.raises(
        FileNotFoundError, match=rf"no folder .*pictrues/cats.*exists is {tmp_path}\. Did you mean .*/pictures\?"
    ):
        load(tmp_path / "pictrues" / "cats")
    with pytest.raises(FileNotFoundError, match="It holds the folders: cats, dogs"):
        load(tmp_path / "pictures" / "xylophones")
    with pytest.raises(FileNotFoundError, match="It holds no folders"):
        load(tmp_path / "pictures" / "cats" / "no")
    with pytest.raises(ValueError, match="without a path.*folder:pictures/cats"):
        data.load("folder:")


def test_a_file_instead_of_a_folder(tmp_path):
    with pytest.raises(NotADirectoryError, match="x.png is a file; folder:PATH expects a folder"):
        load(picture(tmp_path / "x.png"))


def test_an_empty_folder_and_one_of_other_files(tmp_path):
    with pytest.raises(ValueError, match="holds no image: it is empty.*PATH/<class>/"):
        load(tmp_path)
    (tmp_path / "a.heic").write_text("x")
    (tmp_path / "b.heic").write_text("x")
    with pytest.raises(ValueError, match=re.escape("holds no image (but 2 × .heic). Expected files that Pillow reads")):
        load(tmp_path)


def test_every_image_corrupt(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.jpg").write_text("x")
    with pytest.raises(ValueError, match=r"none of the 4 images of .* could be read: \d.jpg: not an image.*again"):
        load(tmp_path, seed=1)


def test_one_class_only(tmp_path):
    with pytest.raises(ValueError, match=r"one class only \('cat'\).*use classes_at=0 or put the images directly"):
        load(classes(tmp_path / "pets", cat=4))
    assert len(load(tmp_path / "pets", classes_at=0)) == 3


def test_other_classes_in_test_than_in_train(tmp_path):
    classes(tmp_path / "train", cat=2, dog=2)
    classes(tmp_path / "test", cat=2, bird=2, fish=2)
    message = "train has 2, test has 3, without dog and with bird, fish besides. Expected the same class folders"
    for split in room.SPLITS:
        with pytest.raises(ValueError, match=message):
            load(tmp_path, split)


def test_images_beside_class_folders_and_classes_at_the_wrong_depth(tmp_path):
    classes(tmp_path / "pets", cat=2, dog=2)
    with pytest.raises(ValueError, match=r"4 of 4 .*classes_at=2: PATH/<x>/<class>/image.*classes_at=0"):
        load(tmp_path / "pets", classes_at=2)
    picture(tmp_path / "pets" / "stray.png")
    with pytest.raises(ValueError, match=r"1 of 5 images .* lie above .*stray.png.*classes_at=1: PATH/<class>/image"):
        load(tmp_path / "pets")


def test_parts_that_contradict_each_other(tmp_path):
    classes(tmp_path / "a" / "test", cat=2, dog=2)
    with pytest.raises(ValueError, match="has test/ but no images in train/"):
        load(tmp_path / "a")
    for part in ("train", "val", "valid"):
        classes(tmp_path / "b" / part, cat=2, dog=2)
    with pytest.raises(ValueError, match="val and valid, which both mean val"):
        load(tmp_path / "b")


def test_too_few_images_for_a_part(tmp_path):
    picture(tmp_path / "x.png")
    with pytest.raises(ValueError, match="holds 1 images, too few to draw a val part"):
        load(tmp_path, "val")


@pytest.mark.parametrize("size", [0, -1, 7, 4096, 32.0, "32", True])
def test_nonsense_sizes(tmp_path, size):
    with pytest.raises(ValueError, match=f"size is {size!r}: a whole number of pixels from 8 to 2048"):
        load(classes(tmp_path, cat=2, dog=2), size=size)


def test_nonsense_channels_and_depth(tmp_path):
    with pytest.raises(ValueError, match=r"channels is 4: 1 \(grey\) or 3"):
        load(tmp_path, channels=4)
    with pytest.raises(ValueError, match="classes_at is -1: the number of folders"):
        load(tmp_path, classes_at=-1)


# ---- names, parameters, the data root ---------------------------------------------------------------------------


def test_unknown_names_and_splits():
    with pytest.raises(ValueError, match="unknown data set 'CIFAR10'. Did you mean 'cifar10'.*folder:PATH"):
        data.load("CIFAR10")
    with pytest.raises(ValueError, match="unknown split of mnist 'trian'. Did you mean 'train'"):
        data.load("mnist", "trian")
    with pytest.raises(ValueError, match="unknown split of mnist 'unlabeled'"):
        data.load("mnist", "unlabeled")
    with pytest.raises(ValueError, match="unknown split of folder:PATH 'dev'"):
        data.load("folder:x", "dev")
    with pytest.raises(ValueError, match="unknown split of photodigits"):
        data.load("photodigits", "unlabeled")


@pytest.mark.parametrize(
    ("name", "option"),
    [("cifar10", {"size": 64}), ("mnist", {"channels": 3}), ("stl10", {"classes_at": 2}), ("photodigits", {"size": 64})]
    + [("photodigits", {"seed": 1}), ("photodigits", {"root": "x"})],
)
def test_a_parameter_that_does_not_apply_is_refused(name, option):
    (key,) = option
    with pytest.raises(ValueError, match=f"{key}=.* was given with '{name}'.*Leave {key} out"):
        data.load(name, **option)


def test_the_data_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data_root("here") == tmp_path / "here"
    monkeypatch.setenv("SSLKIT_DATA", str(tmp_path / "set"))
    assert data_root() == tmp_path / "set" and not (tmp_path / "set").exists()
    monkeypatch.delenv("SSLKIT_DATA")
    package = tmp_path / "checkout" / "sslkit" / "data"
    monkeypatch.setattr("sslkit.data.root.__file__", str(package / "root.py"))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "sslkit"
    package.mkdir(parents=True)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    assert data_root() == tmp_path / "checkout" / "data"


def test_a_folder_that_cannot_be_written_to_says_which_and_what_to_do(tmp_path, monkeypatch):
    assert make_folder(tmp_path / "a" / "b", "x").is_dir()
    (tmp_path / "file").touch()
    message = "cannot write to .*file/sub .*the files of mnist should go there.*SSLKIT_DATA"
    with pytest.raises(PermissionError, match=message):
        make_folder(tmp_path / "file" / "sub", "the files of mnist")

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(PermissionError, match="Read-only file system"):
        make_folder(tmp_path / "a", "x")


@pytest.mark.skipif("SSLKIT_REALDATA" not in os.environ, reason="SSLKIT_REALDATA names no folder of unpacked real sets")
def test_cifar10_as_a_folder_of_jpegs():
    path = Path(os.environ["SSLKIT_REALDATA"]) / "cifar10-jpg"
    if not path.is_dir():
        pytest.skip(f"there is no {path}")
    test = load(path, "test")
    assert test.images.shape == (10_000, 3, 32, 32) and test.labels.bincount().tolist() == [1000] * 10
