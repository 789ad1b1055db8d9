"""video:PATH: windows at a stated rate and size, parts that share no frame, and what may be wrong with a clip.

Clips are written by PyAV itself, so most tests are skipped without it: pip install 'sslkit[video]'.
"""

from __future__ import annotations

import builtins
import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sslkit import data, sequence
from sslkit.data import video as room

needs_av = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is not installed: sslkit[video]")


def clip(path: Path, frames: int = 60, fps: int = 20, size=(48, 32), first: int = 0, codec: str = "ffv1") -> Path:
    """A clip without loss, whose grey is 4 · (frame's number), and lighter by 5 in the lower half."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p" if codec != "ffv1" else "bgr0"
        for i in range(frames):
            pixels = np.full((size[1], size[0], 3), 4 * ((first + i) % 60), np.uint8)
            pixels[size[1] // 2 :] += 5
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def load(path: Path, split: str = "train", **options) -> data.Split:
    return data.load(f"video:{path}", split, progress=False, **options)


def numbers(images: torch.Tensor) -> list[int]:
    """The numbers of the frames of all windows, in order."""
    return (images[..., 0, 2, 2].long() // 4).flatten().tolist()


# ---- which frame is on the screen -------------------------------------------------------------------------------


def slow_at_rate(times: list[float], rate: float) -> list[int]:
    """For every moment, look through all frames for the last one that is there, or a tenth of an interval from it."""
    shown, k = [], 0
    while True:
        moment = times[0] + (k + 0.1) / rate
        if moment > times[-1] + 0.2 / rate:
            return shown
        shown.append(max(i for i, t in enumerate(times) if t <= moment))
        k += 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), min_size=0, max_size=30), st.sampled_from([1, 3, 7.5, 10, 24, 30]))
def test_frames_at_a_rate_are_those_of_a_slow_search(gaps, rate):
    times = np.cumsum([0.517, *(g / 997 for g in gaps)]).tolist()  # no moment and no frame fall together
    assert list(room.at_rate(zip(times, range(len(times))), rate)) == slow_at_rate(times, rate)


@pytest.mark.parametrize("fps", [10, 24, 25, 30, 60])
def test_at_its_own_rate_every_frame_comes_once_even_if_times_are_rounded_to_milliseconds(fps):
    times = [round(i / fps, 3) for i in range(300)]
    assert list(room.at_rate(zip(times, range(300)), fps)) == list(range(300))
    assert list(room.at_rate(zip(times, range(300)), fps / 2)) == list(range(0, 300, 2))


def test_a_frame_that_stays_for_long_is_shown_again_and_no_frames_are_none():
    assert list(room.at_rate([(0.0, "a"), (0.3, "b"), (0.4, "c")], 10)) == ["a", "a", "a", "b", "c"]
    assert list(room.at_rate([], 10)) == [] and list(room.at_rate([(5.0, "a")], 10)) == ["a"]


# ---- windows and parts ------------------------------------------------------------------------------------------


@needs_av
def test_one_clip_is_split_by_time_into_windows_that_share_no_frame(tmp_path):
    path = clip(tmp_path / "a.mkv", 60, 20)
    parts = {split: load(path, split, frames=3, rate=10, size=16) for split in room.SPLITS}
    for split, part in parts.items():
        assert part.images.shape[1:] == (3, 3, 16, 16) and part.images.dtype == torch.uint8
        assert (part.name, part.split, part.classes, part.skipped) == ("video:a.mkv", split, (), ())
        assert part.labels.tolist() == [-1] * len(part) and part.sources.tolist() == [0] * len(part)
    assert [len(part) for part in parts.values()] == [8, 1, 1]
    assert sum((numbers(part.images) for part in parts.values()), []) == [*range(0, 60, 2)]  # 10 of 20 a second
    assert parts["train"].hash == load(path, frames=3, rate=10, size=16).hash != parts["val"].hash
    inputs, target = sequence.future(parts["train"].images, 2, 1, start=0)
    assert numbers(target) == [*range(4, 48, 6)] and inputs.shape[1] == 2


@needs_av
def test_a_folder_is_split_by_clip(tmp_path):
    for i in range(20):
        clip(tmp_path / "films" / f"{i // 10}" / f"{i % 10}.mkv", 6, 10, first=2 * i)
    clip(tmp_path / "films" / ".hidden" / "x.mkv", 6, 10)
    (tmp_path / "films" / "notes.txt").write_text("not a clip")
    parts = {split: load(tmp_path / "films", split, frames=3, size=8) for split in room.SPLITS}
    assert [len(part) for part in parts.values()] == [32, 4, 4]  # two windows a clip
    sources = [set(part.sources.tolist()) for part in parts.values()]
    assert [len(s) for s in sources] == [16, 2, 2] and set.union(*sources) == set(range(20))
    for part in parts.values():
        assert numbers(part.images[::2, 0]) == [2 * i for i in part.sources[::2].tolist()]
    assert load(tmp_path / "films", "test", frames=3, size=8, seed=1).hash != parts["test"].hash


@needs_av
def test_the_shorter_side_is_resized_the_middle_kept_and_grey_is_one_channel(tmp_path):
    path = clip(tmp_path / "a.mkv", 30, 10, size=(96, 32))
    split = load(path, frames=2, size=16, channels=1)
    assert split.images.shape[1:] == (2, 1, 16, 16)
    assert (split.images[..., -1, :].int() - split.images[..., 0, :].int() == 5).all()  # the lower half is lighter
    assert load(path, frames=2).images.shape[1:] == (2, 3, 64, 64) and load(path).images.shape[1] == 10


def test_a_turned_frame_is_shown_upright():
    """What a display matrix of 90 says: turn it counter-clockwise, so that its right side is on top."""

    class Frame:
        rotation = 90

        def to_image(self):
            image = Image.new("RGB", (8, 8), "black")
            image.paste("white", (4, 0, 8, 8))
            return image

    pixels = room._pixels(Frame(), 8, 1)
    assert pixels[0, :4].min() == 255 and pixels[0, 4:].max() == 0
    Frame.rotation = -90
    assert room._pixels(Frame(), 8, 1)[0, :4].max() == 0
    Frame.rotation = 0
    assert room._pixels(Frame(), 8, 1)[0, :, 4:].min() == 255


@needs_av
@pytest.mark.parametrize(("ending", "codec"), [("mp4", "libx264"), ("avi", "mpeg4"), ("webm", "libvpx")])
def test_common_containers(tmp_path, ending, codec):
    path = clip(tmp_path / f"a.{ending}", 60, 20, size=(64, 64), codec=codec)
    split = load(path, frames=3, rate=20, size=32)
    assert numbers(split.images + 2) == pytest.approx([*range(48)], abs=1)  # lossy


# ---- what may be wrong ------------------------------------------------------------------------------------------


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "av":
            raise ModuleNotFoundError("No module named 'av'", name="av")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ModuleNotFoundError, match=r"needs PyAV, which is not installed.*pip install .sslkit\[video\]"):
        load(tmp_path / "a.mp4")


def test_the_extra_exists():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(line.startswith("av>") for line in project["optional-dependencies"]["video"])


@needs_av
@pytest.mark.parametrize("codec_and_ending", [("libx264", "mp4"), ("ffv1", "mkv")])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_clip_that_was_cut_off_is_named(tmp_path, codec_and_ending, share):
    codec, ending = codec_and_ending
    path = clip(tmp_path / f"cut.{ending}", 60, 20, size=(64, 64), codec=codec)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=rf"no clip of .*cut.{ending} \(train\) could be used. cut.{ending}: \w+"):
        load(path, frames=3)


@needs_av
def test_damaged_short_and_empty_clips_of_a_folder_are_left_out_and_named(tmp_path):
    for i in range(6):
        clip(tmp_path / "films" / f"{i}.mkv", 40, 10)
    for i in range(30):
        clip(tmp_path / "films" / f"short{i:02}.mkv", 5, 10)
    (tmp_path / "films" / "none.mp4").write_bytes(b"")
    (tmp_path / "films" / "text.avi").write_text("not a film")
    with pytest.warns(UserWarning, match=r"clips of .*films \(train\) are left out: .*all of them: Split.skipped"):
        split = load(tmp_path / "films")
    assert len(split) == 4 * len(split.sources.unique()) and 3 <= len(split.sources.unique()) <= 6
    assert split.skipped[-1].startswith(("text.avi: ", "short")) and len(split.skipped) >= 25
    short = [s for s in split.skipped if s.startswith("short")]
    assert all("it has 5 frames at 10 a second, and frames=10 are asked for. Ask for fewer" in s for s in short)


@needs_av
def test_a_clip_without_frames_and_one_without_pictures(tmp_path):
    import av

    with av.open(str(tmp_path / "empty.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.start_encoding()
    with pytest.raises(ValueError, match="empty.avi: (it has no frames: it is empty or was cut off|Invalid data)"):
        load(tmp_path / "empty.avi")

    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(ValueError, match="sound.wav: it has no pictures, only sound"):
        load(tmp_path / "sound.wav")


class Container:
    """What PyAV gives for a clip that states `duration` seconds and holds frames at these times."""

    def __init__(self, times, duration):
        self.streams, self.duration, self.time_base, self.times = [self], duration * 10, Fraction(1, 10), times

    def decode(self, stream):
        return (type("Frame", (), {"time": t}) for t in self.times)


@pytest.mark.parametrize(
    ("seconds", "stated", "says"),
    [(2.0, 2, ""), (1.9, 2, ""), (1.0, 2, "ends after 1.0 of 2.0 seconds: it was cut off"), (0, 2, "no frames")],
)
def test_a_clip_that_ends_before_it_says_was_cut_off(seconds, stated, says):
    clock = room._Clock(*[Container([i / 10 for i in range(round(10 * seconds))], stated)] * 2, 10.0, None)
    list(clock)
    if not says:
        return clock.check()
    with pytest.raises(ValueError, match=says):
        clock.check()


@needs_av
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate": 50}, "it has 20 frames a second, fewer than rate=50. Ask for 20 at most"),
        ({"rate": 10, "frames": 31}, "it has 30 frames at 10 a second, and frames=31 are asked for"),
        ({"frames": 0}, "frames is 0: a whole number of frames a window is needed"),
        ({"frames": 2.5}, "frames is 2.5"),
        ({"rate": 0}, "rate is 0: a number of frames a second above 0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"size": 4}, "size is 4: a whole number of pixels"),
        ({"channels": 2}, "channels is 2: 1 .grey. or 3"),
        ({"root": "x"}, "root='x' was given with 'video:.*has no effect"),
        ({"classes_at": 2}, "classes_at=2 was given"),
    ],
)
def test_what_does_not_fit_the_clip_is_said(tmp_path, options, says):
    path = clip(tmp_path / "a.mkv", 60, 20)
    with pytest.raises(ValueError, match=says):
        load(path, **options)


@needs_av
def test_a_clip_too_short_to_be_split(tmp_path):
    path = clip(tmp_path / "a.mkv", 20, 10)
    assert len(load(path)) == 2
    with pytest.raises(ValueError, match="a.mkv holds 0 windows for val: it is too short to be split by time"):
        load(path, "val")


@needs_av
def test_what_does_not_fit_in_memory_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLKIT_MEMORY_GB", "0.00001")
    with pytest.raises(ValueError, match="more than the 1e-05 GB that may be held in memory.*SSLKIT_MEMORY_GB higher"):
        load(clip(tmp_path / "a.mkv"))


@needs_av
def test_a_wrong_path_offers_what_is_near(tmp_path):
    clip(tmp_path / "holiday.mkv")
    with pytest.raises(
        FileNotFoundError, match="there is no clip and no folder .*hollday.mkv. Did you mean holiday.mkv"
    ):
        load(tmp_path / "hollday.mkv")
    with pytest.raises(ValueError, match="video: came without a path"):
        data.load("video:")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no clip. Expected files such as .mp4"):
        load(tmp_path / "empty")
    with pytest.raises(ValueError, match="unknown split of video:PATH 'training'. Did you mean 'train'"):
        load(tmp_path / "holiday.mkv", "training")


@pytest.mark.parametrize("name", ["photodigits", "mnist", "folder:x"])
def test_frames_belong_to_video(name):
    with pytest.raises(ValueError, match="frames=4 was given with .* where it belongs to video:PATH"):
        data.load(name, frames=4)


@needs_av
def test_the_bar_is_shown_only_when_asked_for(tmp_path, capfd, monkeypatch):
    path = clip(tmp_path / "a.mkv")
    load(path)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(room, "tqdm", lambda *a, delay, **k: room_bar(*a, **k))
    from tqdm import tqdm as room_bar

    data.load(f"video:{path}", progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "reading a.mkv" in err and "1/1" in err
