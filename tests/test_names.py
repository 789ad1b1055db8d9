"""One name out of many: the right one comes back, a wrong one gets the nearest names and the whole list."""

from __future__ import annotations

import pytest

from sslkit import names

METHODS = ("rotation", "simclr", "jigsaw")


def test_a_known_name_comes_back():
    assert names.pick("simclr", METHODS, "method") == "simclr"


@pytest.mark.parametrize("typed, nearest", [("simcrl", "simclr"), ("Rotation", "rotation"), ("jigsaws", "jigsaw")])
def test_a_slip_of_the_finger_gets_the_nearest_name(typed, nearest):
    with pytest.raises(ValueError, match=f"unknown method '{typed}'. Did you mean '{nearest}'\\?"):
        names.pick(typed, METHODS, "method")


def test_a_name_like_no_other_gets_the_list_and_the_hint_but_no_guess():
    with pytest.raises(ValueError) as caught:
        names.pick("xyz", METHODS, "method", hint="Or write your own.")
    message = str(caught.value)
    assert "Choose one of: rotation, simclr, jigsaw. Or write your own." in message
    assert "Did you mean" not in message


def test_options_may_be_any_iterable_and_are_read_once():
    assert names.pick("b", iter("abc"), "letter") == "b"
    with pytest.raises(ValueError, match="Choose one of: a, b, c"):
        names.pick("zz", iter("abc"), "letter")
