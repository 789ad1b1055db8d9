"""Lesson 11: what do masked images teach a small vision transformer? Resumable: what stands in 11.json stays.

    python notebooks/experiments/11.py              everything, about 45 minutes on 2 cores
    python notebooks/experiments/11.py mae random   these rows only

"mae" and "jepa" are the recipes of the package, pretrained three times (the scoreboard's runs, if they are there);
"random" is the same network, three times, as
it starts; "supervised" the same network trained from scratch on the labels, with the same augmentation. Everything else
is shorter: SHORT steps and fewer seeds, to be compared with "mae-short" and "jepa-short".

11.json: {"made_with": {…}, "mae" | "ratio-0.75" | …: what resumable.py says of a row, and
    "seeds": pretraining seeds, "steps", "seconds": of pretraining (median), "loss": the last epoch's training loss,
    "val_loss": the same on val, "spread": of JEPA's targets, on val}
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median

import resumable
import scoreboard
import torch
from torch import Tensor, nn

from sslkit import device, evaluate, losses, methods, nets, pretext, recipes, train
from sslkit.data import Split

FILE = Path(__file__).with_suffix(".json")
SHORT, FEW = 400, (0,)  # steps and seeds of the comparisons
SUPERVISED = replace(
    evaluate.SUPERVISED, lr=1e-3
)  # 2 and 1,600 were each better on val; both together are not tried: LOG


class MaskTokensInside(methods.MAE):
    """The encoder gets all patches, a mask token in the place of each hidden one."""

    def __init__(self, encoder: nets.ViT, **settings):
        super().__init__(encoder, **settings)
        self.mask_token = nn.Parameter(0.02 * torch.randn(encoder.dim))

    def predict(self, x: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        encoder = self.encoder
        tokens = encoder.blocks[0](nets.patchify(encoder.normalize(x), encoder.patch))
        tokens = tokens.scatter(1, hidden[:, :, None].expand(-1, -1, encoder.dim), 0.0)
        asked = torch.zeros_like(tokens).scatter(1, hidden[:, :, None].expand(-1, -1, encoder.dim), 1.0)
        tokens = tokens + asked * self.mask_token + nets.positions(encoder.grid(x), encoder.dim, x.device)
        for block in encoder.blocks[1:]:
            tokens = block(tokens)
        return self.decoder(nets.take(tokens, visible), visible, hidden, encoder.grid(x))


class NoStop(methods.JEPA):
    """The target is the encoder itself, and learns to be easy to predict; layer norm alone, as in the paper."""

    def loss(self, x: Tensor, visible: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        z = self.encoder.tokens(x).float()
        answer = nn.functional.layer_norm(z, z.shape[-1:])
        loss = losses.squared_error(self.predict(x, visible, hidden), nets.take(answer, hidden))
        return {"loss": loss, "spread": answer.var(dim=0, correction=0).mean()}


class LayerNormOnly(methods.JEPA):
    """The target follows, and its tokens are normalised one by one, as in the paper; not over the batch."""

    @torch.no_grad()
    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.target.tokens(x).float()
        z = nn.functional.layer_norm(z, z.shape[-1:])
        return z, z.var(dim=0, correction=0).mean()


class Shared(methods.JEPA):
    """What all patches of an image share is asked for, too."""

    @torch.no_grad()
    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.target.tokens(x).float()
        z = nn.functional.layer_norm(z, z.shape[-1:])
        variance = z.var(dim=0, correction=0)
        return (z - z.mean(dim=0)) / (variance + 1e-4).sqrt(), variance.mean()


MAE, JEPA = (recipes.get(name) for name in ("mae", "jepa"))
PIXELS = {"target": None, "normalise": False}
# name: kind, what differs from the recipe's settings, and from its encoder
VARIANTS: dict[str, tuple[type, dict, dict]] = {
    "mae-short": (methods.MAE, {}, {}),
    "ratio-0.75": (methods.MAE, {"ratio": 0.75}, {}),
    "pixels": (methods.MAE, PIXELS | {"normalise": True}, {}),  # as in the paper
    "grey": (methods.MAE, PIXELS | {"target": pretext.contrast_normalised_grey}, {}),
    "inside": (MaskTokensInside, {}, {}),
    "small-patches": (methods.MAE, {}, {"patch": 4}),
    "wide": (methods.MAE, {}, {"width": 192}),
    "tenth": (methods.MAE, {}, {}),  # of the images
    "jepa-short": (methods.JEPA, {}, {}),
    "shared": (Shared, {}, {}),
    "blocks-of-4": (methods.JEPA, {"count": 2, "side": 2, "visible": 6}, {}),  # 2×2 patches
    "layer-norm": (LayerNormOnly, {}, {}),
    "no-stop": (NoStop, {}, {}),
}


def build(name: str, seed: int) -> nn.Module:
    """One of VARIANTS, or a recipe by its name."""
    kind, settings, net = VARIANTS.get(name) or (methods.METHODS[name], {}, {})
    recipe = JEPA if issubclass(kind, methods.JEPA) else MAE
    with device.seeded(seed):
        encoder = nets.build(recipes.encoder_for("mae").config() | net)
        return kind(encoder, augment=recipe.augment, **{**recipe.settings, **settings})


def config(name: str, seed: int = 0) -> train.TrainConfig:
    recipe = JEPA if issubclass(VARIANTS.get(name, (methods.METHODS.get(name),))[0], methods.JEPA) else MAE
    steps = {"steps": SHORT} if name in VARIANTS else {}
    return replace(recipe.lesson, **steps, seed=seed, progress=False)


def measure(name: str, splits: dict[str, Split]) -> dict:
    images, runs = splits["train"].images, []
    if name == "tenth":
        images = images[torch.randperm(len(images), generator=device.generator(0))[: len(images) // 10]]
    for seed in FEW if name in VARIANTS else resumable.SEEDS:
        method = build(name, seed).to(device.pick())
        if name in VARIANTS:
            result = train.fit(method, images, config(name, seed))
            facts = {"seconds": result.seconds, "history": result.history}
            print(f"{name} {seed}: {result.summary()}", flush=True)
        else:
            facts = scoreboard.pretrained(name, "lesson", seed, images)
            method.load_state_dict(facts["method_state"])
        runs.append((method, facts))
    taught, facts = zip(*runs)
    row = resumable.accuracy([m.encoder for m in taught], splits)
    row |= {"seeds": len(runs), "steps": config(name).steps, "seconds": median(f["seconds"] for f in facts)}
    row["loss"] = mean(f["history"][-1]["loss"] for f in facts)
    seen = [unseen(m, splits["val"]) for m in taught]
    return (
        row
        | {"val_loss": mean(s["loss"] for s in seen)}
        | {k: mean(s[k] for s in seen) for k in seen[0] if k != "loss"}
    )


@torch.inference_mode()
def unseen(method: nn.Module, val: Split) -> dict[str, float]:
    """The parts of the method's loss on views of val, always the same ones."""
    where = next(method.parameters()).device
    generator, outs = device.generator(0, where), []
    for images in val.images.to(where).split(250):
        outs.append(method.eval()(images, generator))
    return {key: mean(float(out[key]) for out in outs) for key in outs[0]}


def untrained(name: str, splits: dict[str, Split]) -> dict:
    encoders = []
    for seed in resumable.SEEDS:
        with device.seeded(seed):
            encoders.append(recipes.encoder_for("mae").to(device.pick()))
    return resumable.accuracy(encoders, splits) | {"seeds": len(encoders)}


def supervised(name: str, splits: dict[str, Split]) -> dict:
    return resumable.from_scratch(recipes.encoder_for("mae").config(), splits, config=SUPERVISED)


def main() -> None:
    made_with = {"mae": resumable.of_recipe(MAE), "jepa": resumable.of_recipe(JEPA)}
    made_with |= {"short": SHORT, "net": recipes.encoder_for("mae").config()}
    made_with["supervised"] = asdict(SUPERVISED) | {"draws": resumable.DRAWS}
    rows = {"random": untrained, "mae": measure, "jepa": measure, "supervised": supervised}
    resumable.run(__doc__, FILE, made_with, rows | dict.fromkeys(VARIANTS, measure), "val_loss")


if __name__ == "__main__":
    main()
