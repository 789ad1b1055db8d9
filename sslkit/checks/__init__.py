"""A reader's function -> pass, or the reason why not.

Each `check_…(answer)` tries the function on small inputs, prints one line, and returns whether it is right. A stub that
still returns `...` is "not written yet". With SSLKIT_STRICT=1 (solutions, grading) what is not right raises instead.
"""

from __future__ import annotations

from sslkit.checks.answer import NotWritten, Wrong, check, predicted
from sslkit.checks.jigsaw import check_cut, check_farthest, check_inverse
from sslkit.checks.joint import check_cross_correlation, check_ema, check_nt_xent, check_stop
from sslkit.checks.labels import check_assign, check_chance, check_draw, check_four_turns, check_nearest
from sslkit.checks.masked import check_hidden_loss, check_patchify, check_random_mask
from sslkit.checks.own_data import check_gain, check_search, check_twins
from sslkit.checks.parts import check_leaks, check_masked_mse, check_scatter
from sslkit.checks.rotation import check_knows_nothing, check_neighbour, check_turn
from sslkit.checks.siamese import check_balanced, check_contrastive, check_threshold
from sslkit.checks.text import check_bigram, check_perplexity, check_windows
from sslkit.checks.time import check_all_pairs, check_best_guess, check_wrong_orders
from sslkit.checks.transfer import check_freeze, check_stopped, check_worth
from sslkit.checks.triplet import check_hardness, check_semi_hard, check_triplet

__all__ = [
    "NotWritten",
    "Wrong",
    "check",
    "predicted",
    "check_assign",
    "check_chance",
    "check_draw",
    "check_four_turns",
    "check_nearest",
    "check_hidden_loss",
    "check_patchify",
    "check_random_mask",
    "check_leaks",
    "check_masked_mse",
    "check_scatter",
    "check_cut",
    "check_farthest",
    "check_inverse",
    "check_knows_nothing",
    "check_neighbour",
    "check_turn",
    "check_balanced",
    "check_contrastive",
    "check_threshold",
    "check_all_pairs",
    "check_best_guess",
    "check_wrong_orders",
    "check_freeze",
    "check_stopped",
    "check_worth",
    "check_hardness",
    "check_semi_hard",
    "check_triplet",
    "check_bigram",
    "check_perplexity",
    "check_windows",
    "check_cross_correlation",
    "check_ema",
    "check_nt_xent",
    "check_stop",
    "check_gain",
    "check_search",
    "check_twins",
]
