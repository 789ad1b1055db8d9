"""The widget that scrubs through a clip: what it says is what the networks predict; what it is given stays as it is."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from ipywidgets import Button, IntSlider, ToggleButton
from test_widgets import button, instead, parts, said

from sslkit import device as devices
from sslkit import methods, nets, widgets
from sslkit.augment import to_float

N, T = 3, 10


def clips(channels: int = 3) -> torch.Tensor:
    coarse = torch.rand(N * T, channels, 5, 5, generator=devices.generator(0))
    smooth = torch.nn.functional.interpolate(coarse, size=(24, 24), mode="bilinear")
    return (255 * smooth).byte().unflatten(0, (N, T))


def make(backwards: bool, channels: int = 3, **settings) -> methods.Future:
    with devices.seeded(int(backwards)):
        method = methods.Future(nets.ConvNet(4 * channels, widths=(8, 16, 32)), backwards=backwards, **settings)
        torch.nn.init.normal_(method.decoder.last.weight, std=0.05)  # it has learned something
        method.train()(clips(channels), devices.generator(0))
    return method


def pair(channels: int = 3) -> tuple[methods.Future, methods.Future]:
    return make(False, channels), make(True, channels)


def panel() -> widgets.Panel:
    return widgets.scrub(*pair(), clips())


def slider(shown: widgets.Panel) -> IntSlider:
    return parts(shown, IntSlider)[0]


def toggle(shown: widgets.Panel) -> ToggleButton:
    return parts(shown, ToggleButton)[0]


def errors(shown: widgets.Panel) -> list[float]:
    return [float(number) for number in re.findall(r"\d\.\d{4}", said(shown))]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_sentence_tells_the_errors_of_network_and_copy(backwards):
    shown, net = panel(), pair()[backwards].eval()
    button(shown, "next clip").click()
    toggle(shown).value = backwards
    clip = to_float(clips()[1:2])
    clip = clip.flip(1) if backwards else clip
    heard = set()
    for frame in range(5, T + 1):
        slider(shown).value = frame
        with torch.no_grad():
            made = net.roll_out(clip[:, :4], frame - 4)[:, -1]
        expected = [(x - clip[:, frame - 1]).square().mean().item() for x in (made, clip[:, 3])]
        way = "backwards" if backwards else "forwards"
        assert f"Clip 2 of 3, {way}, frame {frame} of 10: predicted {frame - 4} ahead." in said(shown)
        assert errors(shown) == pytest.approx(expected, abs=6e-5)
        assert (
            f'alt="{"backwards, " * backwards}frame {frame}; predicted {frame - 4} ahead: error ' in shown.picture.value
        )
        heard.add(tuple(errors(shown)))
    assert len(heard) == 6 and shown.error is None


def test_frames_that_are_seen_are_not_predicted():
    shown = panel()
    for frame in range(1, 5):
        slider(shown).value = frame
        assert f"frame {frame} of 10: seen." in said(shown) and not errors(shown)
    assert (slider(shown).min, slider(shown).max) == (1, T) and shown.error is None


def test_the_frame_that_is_shown_is_the_clip_s():
    state = panel().still.__self__
    state.index = 2
    for frame in (1, 7, T):
        for backwards in (False, True):
            state.to(frame)
            state.turn(backwards)
            shown = state.draw()[0].axes[0].images[0].get_array()
            there = clips()[2, T - frame if backwards else frame - 1]
            np.testing.assert_array_equal(shown, there.permute(1, 2, 0).numpy())


def test_a_network_is_asked_once_for_a_clip_and_a_way(monkeypatch):
    given, asked, predict = pair(), [], methods.Future.predict
    monkeypatch.setattr(methods.Future, "predict", lambda self, seen: (asked.append(1), predict(self, seen))[1])
    shown = widgets.scrub(*given, clips())
    for frame in (6, 8, 10):
        slider(shown).value = frame
    assert len(asked) == 2  # six frames, four at a time
    toggle(shown).value = True
    assert len(asked) == 4
    toggle(shown).value = False
    assert len(asked) == 4


def test_it_pages_round_the_clips():
    shown, first = panel(), []
    for _ in range(N):
        first.append(said(shown).split(",")[0])
        button(shown, "next clip").click()
    assert first == ["Clip 1 of 3", "Clip 2 of 3", "Clip 3 of 3"] and said(shown).startswith("Clip 1 of 3")
    button(shown, "previous clip").click()
    assert said(shown).startswith("Clip 3 of 3")


def test_a_picture_and_a_sentence_stand_in_for_it():
    assert "frame 5 of 10: predicted 1 ahead. Squared error" in instead(panel())


def test_every_control_has_a_name_and_can_be_reached_with_the_keyboard():
    controls = parts(panel(), Button) + parts(panel(), ToggleButton) + parts(panel(), IntSlider)
    names = [control.description for control in controls]
    assert sorted(names) == ["backwards", "frame", "next clip", "previous clip"]
    assert all(control.tabbable is not False for control in controls)


def test_the_methods_stay_as_they_were_and_are_shown_as_they_were():
    nets_ = pair()
    before = [{key: value.clone() for key, value in net.state_dict().items()} for net in nets_]
    shown = widgets.scrub(*nets_, clips())
    toggle(shown).value = True
    for net, state in zip(nets_, before):
        assert net.training and all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    picture = shown.picture.value
    with torch.no_grad():
        for net in nets_:
            net.decoder.last.weight.add_(1.0)
    shown.still.__self__._known.clear()
    shown.refresh()
    assert shown.picture.value == picture and shown.error is None


def test_grey_and_float_clips_are_taken():
    a = widgets.scrub(*pair(channels=1), clips(channels=1))
    b = widgets.scrub(*pair(channels=1), clips(channels=1) / 255)
    assert a.picture.value == b.picture.value and said(a) == said(b)


def test_what_does_not_fit_is_said():
    future, past = pair()
    order = methods.Order(nets.ConvNet(12, widths=(4, 8)))
    for wrong, kind, says in [
        ((order, past, clips()), TypeError, "scrub needs a method of the kind Future; got Order"),
        ((future, order, clips()), TypeError, "scrub needs a method of the kind Future; got Order"),
        ((past, future, clips()), ValueError, "got backwards=True and backwards=False. Is their order right"),
        ((future, future, clips()), ValueError, "got backwards=False and backwards=False"),
        ((future, past, clips()[0]), ValueError, r"scrub needs clips \(N, T, C, H, W\), at least one; got \(10, 3"),
        ((future, past, clips()[:, :4]), ValueError, "look at 4 and 4 frames.*clips, of 4 frames, must have more"),
        ((future, past, clips().long()), ValueError, "scrub needs clips of uint8, or float"),
    ]:
        with pytest.raises(kind, match=says):
            widgets.scrub(*wrong)
