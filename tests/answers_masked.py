"""Answers to lesson 11's exercises, right and wrong; test_checks.py tries them with the others."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sslkit import checks


def patchify(x, p, order=(0, 2, 4, 1, 3, 5)):
    n, c, h, w = x.shape
    return x.view(n, c, h // p, p, w // p, p).permute(order).reshape(n, (h // p) * (w // p), c * p * p)


def patchify_slowly(x, p):
    rows, columns = x.shape[2] // p, x.shape[3] // p
    squares = [x[:, :, p * i : p * i + p, p * j : p * j + p].flatten(1) for i in range(rows) for j in range(columns)]
    return torch.stack(squares, dim=1)


def patchify_strided(x, p):
    n, c, h, w = x.shape
    return x.view(n, c, p, h // p, p, w // p).permute(0, 3, 5, 1, 2, 4).reshape(n, -1, c * p * p)


def random_mask(n, patches, ratio, generator, rounded=round, rows=None):
    order = torch.rand(rows or n, patches, generator=generator).argsort(dim=1).expand(n, patches)
    return torch.zeros(n, patches, dtype=torch.bool).scatter(1, order[:, : rounded(ratio * patches)], True)


def mask_slowly(n, patches, ratio, generator):
    mask = torch.zeros(n, patches, dtype=torch.bool)
    for row in mask:
        row[torch.randperm(patches, generator=generator)[: round(ratio * patches)]] = True
    return mask


def shifted(n, patches, ratio, generator):
    """The hidden patches lie in one run, which starts anywhere."""
    start = torch.randint(patches, (n, 1), generator=generator)
    return (torch.arange(patches) - start) % patches < round(ratio * patches)


def first_ones(n, patches, ratio, generator):
    rest = random_mask(n, patches - 1, ratio * patches / (patches - 1) - 1 / (patches - 1), generator)
    return torch.cat([torch.ones(n, 1, dtype=torch.bool), rest], dim=1)


def hidden_loss(p, t, hidden):
    return (p - t)[hidden].square().mean()


def hidden_loss_by_patch(p, t, hidden):
    error = torch.where(hidden[:, :, None], p - t, 0).square().mean(dim=2)
    return error.sum() / hidden.sum()


RIGHT = [
    (checks.check_patchify, patchify),
    (checks.check_patchify, patchify_slowly),
    (checks.check_patchify, lambda x, p: F.unfold(x, p, stride=p).transpose(1, 2)),
    (checks.check_random_mask, random_mask),
    (checks.check_random_mask, mask_slowly),
    (checks.check_hidden_loss, hidden_loss),
    (checks.check_hidden_loss, hidden_loss_by_patch),
    (checks.check_hidden_loss, lambda p, t, m: F.mse_loss(p[m], t[m])),
    (checks.check_hidden_loss, lambda p, t, m: ((p - t) ** 2 * m[:, :, None]).sum() / (4 * m.sum())),
]

WRONG = [
    (checks.check_patchify, lambda x, p: patchify(x, p, (0, 4, 2, 1, 3, 5)), "your patches go column by column"),
    (checks.check_patchify, lambda x, p: patchify(x, p, (0, 2, 4, 3, 5, 1)), "the colours of a pixel lie side by side"),
    (checks.check_patchify, lambda x, p: patchify(x, p, (0, 2, 4, 1, 5, 3)), "mirrored along its diagonal"),
    (checks.check_patchify, patchify_strided, "your tokens are not squares"),
    (checks.check_patchify, lambda x, p: x.reshape(len(x), -1, x.shape[1] * p * p), "that is a reshape alone"),
    (checks.check_patchify, lambda x, p: patchify(x, p).flip(1), "image 0, patch 0: number 0 should be pixel 0"),
    (checks.check_patchify, lambda x, p: patchify(x, p).transpose(1, 2), "yours is (2, 12, 6)"),
    (checks.check_patchify, lambda x, p: patchify(x, 2), "yours is (1, 16, 4)"),
    (checks.check_random_mask, lambda *a: ~random_mask(*a), "the share that is hidden, and true means hidden"),
    (checks.check_random_mask, lambda *a: random_mask(*a, rounded=int), "was rounded down to 5; round(…) gives 6"),
    (checks.check_random_mask, lambda n, p, r, g: torch.rand(n, p, generator=g) < r, "hidden, by chance"),
    (checks.check_random_mask, lambda *a: random_mask(*a, rows=1), "every image of the batch has the same mask"),
    (checks.check_random_mask, shifted, "only a few different masks come up"),
    (checks.check_random_mask, first_ones, "patch 0 is hidden in 100% of the images"),
    (checks.check_random_mask, lambda n, p, r, g: random_mask(n, p, r, None), "the same generator gave another mask"),
    (
        checks.check_random_mask,
        lambda n, p, r, g: random_mask(n, p, r, torch.Generator().manual_seed(0)),
        "another generator gave the same mask",
    ),
    (checks.check_random_mask, lambda *a: random_mask(*a).float(), "asked for torch.bool"),
    (checks.check_random_mask, lambda n, p, r, g: random_mask(n, p, r + 0.1, g), "patches are hidden; yours hides"),
    (checks.check_hidden_loss, lambda p, t, m: F.mse_loss(p, t), "the error over all patches"),
    (checks.check_hidden_loss, lambda p, t, m: hidden_loss(p, t, ~m), "the error over the visible patches"),
    (checks.check_hidden_loss, lambda p, t, m: ((p - t) ** 2 * m[:, :, None]).mean(), "still count them in the mean"),
    (checks.check_hidden_loss, lambda p, t, m: ((p - t)[m] ** 2).sum(), "that is the sum"),
    (checks.check_hidden_loss, lambda p, t, m: ((p - t)[m] ** 2).sum() / m.sum(), "each has 4 numbers"),
    (checks.check_hidden_loss, lambda p, t, m: (p - t)[m].abs().mean(), "that is the absolute error"),
    (checks.check_hidden_loss, lambda p, t, m: hidden_loss(p, t, m).sqrt(), "do not take the root"),
    (checks.check_hidden_loss, lambda p, t, m: hidden_loss(p, t, m) + 1, "yours is"),
]
