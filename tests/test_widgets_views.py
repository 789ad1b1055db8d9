"""The views explorer, driven through its controls."""

from __future__ import annotations

import pytest
import torch
from ipywidgets import Button, FloatSlider
from test_widgets import button, images, instead, parts, said, slider

from sslkit import device as devices
from sslkit import widgets
from sslkit.augment import STRONG, WEAK, Augment


def explorer(augment: Augment = STRONG) -> widgets.Panel:
    return widgets.explore_views(images(), augment)


def state_of(shown: widgets.Panel) -> widgets.Views:
    return shown.still.__self__


def test_it_shows_the_views_of_the_augmentation():
    state = widgets.Views(images() / 255, STRONG)
    many = (images()[:1] / 255).expand(widgets.DRAWS, -1, -1, -1)
    torch.testing.assert_close(state.views, STRONG(many, devices.generator(0)))
    assert len({tuple(view.flatten().tolist()) for view in state.views}) == widgets.DRAWS
    state.set(Augment())
    assert torch.equal(state.views, many)


@pytest.mark.parametrize("knob", widgets.KNOBS, ids=lambda knob: knob.name)
def test_every_slider_switches_its_own_augmentation_on_and_off(knob):
    shown = explorer(Augment())
    plain, handle = shown.picture.value, slider(shown, knob.name)
    assert handle.value == knob.off and "Nothing is switched on" in said(shown)
    far = knob.low if knob.off == knob.high else knob.high
    handle.value = far
    assert knob.of(state_of(shown).augment) == pytest.approx(far) and shown.error is None
    changed = [k.name for k in widgets.KNOBS if k.of(state_of(shown).augment) != k.off]
    assert changed == [knob.name] and f"Switched on: {knob.name} {far:g}." in said(shown)
    assert shown.picture.value != plain
    handle.value = knob.off
    assert shown.picture.value == plain


def test_a_slider_that_sends_back_what_it_shows_changes_nothing():
    shown = explorer()
    for control in parts(shown, FloatSlider):
        assert not control.continuous_update, "what it shows would come back late, after the next button"
        control.value += 1e-9
        control.value = round(control.value, 2)
    assert state_of(shown).augment == STRONG and shown.error is None


def test_a_slider_changes_one_thing_alone():
    state = widgets.Views(images() / 255, WEAK)
    before = state.views
    grey = next(knob for knob in widgets.KNOBS if knob.name.startswith("grey (share"))
    state.set(grey.to(state.augment, 1.0))
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    grey_of = lambda x: (x * weights).sum(dim=1)  # noqa: E731
    inside = ((before > 0.01) & (before < 0.99)).all(dim=1)  # where nothing was clipped
    assert inside.float().mean() > 0.3
    torch.testing.assert_close(grey_of(state.views)[inside], grey_of(before)[inside], atol=2e-2, rtol=0)


@pytest.mark.parametrize("name", widgets.SETTINGS)
def test_a_button_sets_all_sliders(name):
    shown = explorer()
    slider(shown, "noise (up to)").value = 0.2
    button(shown, name).click()
    assert state_of(shown).augment == widgets.SETTINGS[name] and shown.error is None
    assert all(slider(shown, knob.name).value == knob.of(widgets.SETTINGS[name]) for knob in widgets.KNOBS)


def test_other_draws_are_other_views_and_leave_the_global_generator_alone():
    shown, generator = explorer(), torch.get_rng_state()
    seen = {shown.picture.value}
    for _ in range(3):
        button(shown, "other draws").click()
        seen.add(shown.picture.value)
    assert len(seen) == 4 and torch.equal(torch.get_rng_state(), generator)


def test_it_pages_round_the_pictures():
    shown = explorer()
    first = shown.picture.value
    button(shown, "next picture").click()
    assert said(shown).startswith("Picture 2 of 3") and shown.picture.value != first
    for _ in range(2):
        button(shown, "next picture").click()
    assert shown.picture.value == first


def test_where_there_is_no_kernel_a_picture_stands_in():
    assert "23 views of it" in instead(explorer(), width=700, colours=100)
    assert explorer()._repr_mimebundle_()["image/png"] == explorer()._repr_mimebundle_()["image/png"]


def test_grey_and_float_pictures_are_taken_and_others_refused():
    grey = images(channels=1)
    assert widgets.explore_views(grey).picture.value == widgets.explore_views(grey / 255).picture.value
    for wrong in (images()[0], images()[:0], images().numpy(), images().long()):
        with pytest.raises(ValueError, match="explore_views needs images"):
            widgets.explore_views(wrong)
    for channels in (2, 4):
        with pytest.raises(ValueError, match="expected .* C = 1 or 3"):
            widgets.explore_views(images(channels=channels))


def test_every_control_has_a_name_and_can_be_reached_with_the_keyboard():
    shown = explorer()
    controls = parts(shown, Button) + parts(shown, FloatSlider)
    assert len({control.description for control in controls}) == len(controls) == len(widgets.KNOBS) + 6
    assert all(control.tabbable is not False and control.description for control in controls)
