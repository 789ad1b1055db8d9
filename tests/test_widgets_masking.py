"""The masking widget: what it hides, what it paints, and what it says."""

from __future__ import annotations

import pytest
import torch
from ipywidgets import IntSlider
from test_widgets import button, images, make, numbers, panel, parts, said

from sslkit import losses, nets, pretext, widgets

GRID = (6, 6)


def state(**settings) -> widgets.Masking:
    return widgets.Masking(make("mask_patches", **settings).eval(), images() / 255)


def painted(x: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """(1, 1, H, W): true where a pixel lies in a hidden patch."""
    mask = torch.zeros(1, 36, 16).scatter(1, hidden[:, :, None].expand(-1, -1, 16), 1.0)
    return nets.unpatchify(mask, 4, GRID).bool()


def test_a_larger_number_hides_more_beside_the_same():
    shown = state()
    few, order = shown.order[:, :10], shown.order
    shown.to(20)
    assert torch.equal(shown.order, order) and torch.equal(shown.order[:, :10], few)
    assert sorted(order[0].tolist()) == list(range(36))
    shown.again()
    assert not torch.equal(shown.order, order)
    before = torch.get_rng_state()
    shown.draw()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("target", [None, pretext.contrast_normalised_edges])
def test_visible_patches_are_shown_as_they_are_and_hidden_ones_as_predicted(target, normalise):
    net, x = make("mask_patches", target=target, normalise=normalise).eval(), images()[:1] / 255
    visible, hidden = state().order[:, 20:], state().order[:, :20]
    found = widgets.reconstruction(net, x, visible, hidden)
    mask = painted(x, hidden)
    assert torch.equal(found["seen"], torch.where(mask, 0.5, x))
    assert torch.equal(torch.where(mask, 0, found["network"]), torch.where(mask, 0, found["there"]))
    whole = x if target is None else (target(x) + 1) / 4
    torch.testing.assert_close(found["there"], whole.clamp(0, 1))
    assert not torch.equal(found["network"], found["there"])
    truth = nets.take(net.answer(x), hidden)
    assert found["error"] == pytest.approx(losses.squared_error(net.predict(x, visible, hidden), truth).item())
    blind = nets.take(net.answer(x), visible).mean()
    assert found["blind"] == pytest.approx((truth - blind).square().mean().item(), rel=1e-4)


def test_a_perfect_network_paints_what_was_there():
    for normalise in (False, True):
        net, x = make("mask_patches", normalise=normalise).eval(), images()[:1] / 255
        net.predict = lambda x, visible, hidden, net=net: nets.take(net.answer(x), hidden)
        found = widgets.reconstruction(net, x, state().order[:, 20:], state().order[:, :20])
        torch.testing.assert_close(found["network"], x, atol=2e-2, rtol=0)  # ε of the normalisation
        assert found["error"] == 0 < found["blind"]


def test_what_is_hidden_reaches_no_answer():
    net, x = make("mask_patches", target=None, normalise=False).eval(), images()[:1] / 255
    visible, hidden = state().order[:, 20:], state().order[:, :20]
    mask = painted(x, hidden)
    one, other = (widgets.reconstruction(net, v, visible, hidden) for v in (x, torch.where(mask, 1 - x, x)))
    assert torch.equal(one["seen"], other["seen"]) and not torch.equal(one["there"], other["there"])
    assert torch.equal(torch.where(mask, one["network"], 0), torch.where(mask, other["network"], 0))


def test_the_slider_and_the_sentence():
    shown = panel("mask_patches")
    (handle,) = parts(shown, IntSlider)
    assert (handle.min, handle.max, handle.value) == (1, 35, 27)
    assert "Picture 1 of 3. 27 of 36 patches are hidden (75%; trained with 75%)" in said(shown)
    before = shown.picture.value
    handle.value = 18
    assert "18 of 36 patches are hidden (50%" in said(shown) and shown.picture.value != before
    drawn = state()
    found = widgets.reconstruction(drawn.net, images()[:1] / 255, drawn.order[:, 18:], drawn.order[:, :18])
    assert numbers(said(shown)) == pytest.approx([found["error"], found["blind"]], abs=0.006)
    assert f"network: error {found['error']:.2f}" in shown.picture.value
    before = shown.picture.value
    button(shown, "other patches").click()
    assert shown.picture.value != before and shown.error is None


def test_images_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match="patches of 4 px, which must divide H and W"):
        widgets.mask_patches(make("mask_patches"), images(side=26))
