"""A name gives numbers of its own: the same everywhere, others for others, and no question depends on another."""

from __future__ import annotations

import pytest
import torch

from sslkit.variants import NOBODY, Variant


def test_the_numbers_are_those_of_the_formula():
    assert Variant("ada").seed("images") == 231966810
    assert [Variant("ada").choose(q, range(1000)) for q in ("a", "b")] == [845, 871]


def test_spelling_does_not_matter_and_names_do():
    assert Variant("  Ada   Lovelace ").seed("x") == Variant("ada lovelace").seed("x")
    assert Variant("ada").seed("x") != Variant("bob").seed("x") and Variant("ada").seed("x") != Variant("ada").seed("y")


def test_options_are_used_evenly():
    drawn = torch.tensor([Variant(f"student {i}").choose("margin", (0, 1, 2, 3)) for i in range(4000)])
    assert drawn.bincount().min() > 900
    a, b = ([Variant(f"student {i}").choose(q, (0, 1)) for i in range(2000)] for q in ("one", "two"))
    assert 900 < sum(x == y for x, y in zip(a, b)) < 1100, "questions are drawn apart"


def test_seeds_are_seeds():
    seeds = [Variant(f"{i}").seed("q") for i in range(200)]
    assert len(set(seeds)) == 200 and 0 <= min(seeds) and max(seeds) < 2**31
    draws = [torch.rand(3, generator=Variant("ada").generator("q")) for _ in range(2)]
    assert torch.equal(*draws)


@pytest.mark.parametrize("name", [..., "", "   "])
def test_a_stub_is_nobody(name):
    assert Variant(name).name == NOBODY


def test_what_it_does_not_take():
    with pytest.raises(ValueError, match="expected text in quotes"):
        Variant(7)
    with pytest.raises(ValueError, match="no options"):
        Variant("ada").choose("q", ())
