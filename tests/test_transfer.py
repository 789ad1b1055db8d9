"""Transfer: what is copied is copied, what is frozen does not move, and the rest learns at the rate that was said."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sslkit import device as devices
from sslkit import evaluate, nets, train, transfer
from sslkit.augment import Augment, to_float
from sslkit.data import Split, load

FEW = train.TrainConfig(steps=12, batch_size=20, progress=False)
WIDTHS = (4, 6, 8, 10)


def encoder(seed: int = 0, **other) -> nets.ConvNet:
    with devices.seeded(seed):
        net = nets.ConvNet(**{"widths": WIDTHS, **other})
    for name, buffer in net.named_buffers():  # as after a training: no statistic is what it starts as
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5, generator=devices.generator(len(name)))
    return net


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


@pytest.fixture(scope="module")
def splits() -> dict[str, Split]:
    return {name: load("photodigits", name).subset(torch.arange(300)) for name in ("train", "val", "test")}


# ---- copying ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(5))
def test_the_first_blocks_are_copied_with_their_statistics_and_no_others(count):
    source, target, before = encoder(0), encoder(1), encoder(1)
    left = state(source)
    transfer.copy_layers(source, target, count)
    for i in range(4):
        assert same(target.blocks[i], source.blocks[i]) == (i < count)
        assert same(target.blocks[i], before.blocks[i]) == (i >= count)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in left.items())
    if count:
        with torch.no_grad():
            target.blocks[0][0].weight.add_(1)
        assert all(torch.equal(value, source.state_dict()[name]) for name, value in left.items()), "they share memory"


def test_what_does_not_fit_is_said_and_nothing_is_copied():
    source, target = encoder(0), encoder(1, widths=(4, 6, 9, 10))
    before = state(target)
    with pytest.raises(ValueError, match=r"block 3 does not fit: the source is .*\[4, 6, 8, 10\].*\[4, 6, 9, 10\]"):
        transfer.copy_layers(source, target, 3)
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in before.items())
    transfer.copy_layers(source, target, 2)
    for count in (-1, 5):
        with pytest.raises(ValueError, match=rf"{count} layers were to be copied; these encoders have 0 to 4"):
            transfer.copy_layers(source, encoder(1), count)


# ---- freezing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 4])
def test_what_is_frozen_is_the_same_to_the_bit_after_training_and_the_rest_is_not(splits, count):
    source = encoder()
    method = transfer.train(source, splits["train"], 2, seed=0, copied=count, mode="frozen", config=FEW, device="cpu")
    for i, (mine, theirs) in enumerate(zip(method.encoder.blocks, source.blocks)):
        assert same(mine, theirs) == (i < count), f"block {i + 1}"
    assert all((p.grad is None) for block in method.encoder.blocks[:count] for p in block.parameters())


def test_without_the_hook_the_statistics_would_move(splits):
    """The trap that `freeze` is there for: no gradient alone does not keep batch norm still."""
    source = encoder()
    method = transfer.Transferred(source, 10, copied=4, frozen=False)
    method.encoder.requires_grad_(False)
    evaluate.train_on_labels(method, splits["train"], 2, 0, FEW, "cpu")
    moved = [n for n, v in method.encoder.state_dict().items() if not torch.equal(v, source.state_dict()[n])]
    assert moved and all("running" in name or "batches" in name for name in moved)


def test_a_frozen_block_does_not_look_at_the_batch_even_when_the_whole_is_put_into_training_mode():
    net, x = encoder(), torch.rand(6, 3, 16, 16, generator=devices.generator(0))
    expected = net.eval().features(x)[1]
    transfer.freeze(net, 2)
    net.train()
    assert torch.equal(net.features(x)[1], expected)
    assert not net.blocks[0].training and net.blocks[2].training
    assert [transfer.is_frozen(block) for block in net.blocks] == [True, True, False, False]
    twin = copy.deepcopy(net).train()
    assert torch.equal(twin.features(x)[1], expected), "a copy of what is frozen is frozen"


def test_unfreezing_undoes_freezing_even_when_it_was_done_twice():
    net, x = encoder(), torch.rand(6, 3, 16, 16, generator=devices.generator(0))
    expected = copy.deepcopy(net).train().features(x)[-1]
    transfer.freeze(net)
    transfer.freeze(net, 2)
    transfer.unfreeze(net)
    assert all(p.requires_grad for p in net.parameters()) and not any(map(transfer.is_frozen, net.blocks))
    assert torch.equal(net.train().features(x)[-1], expected)


# ---- learning rates ---------------------------------------------------------------------------------------------


def test_copied_layers_learn_at_their_share_of_the_rate():
    method = transfer.Transferred(encoder(), 10, copied=2, frozen=False, rate=0.1)
    optimizer = train.make_optimizer(method, train.TrainConfig(weight_decay=0.3))
    found = {p: (g["rate"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    for i, block in enumerate(method.encoder.blocks):
        for p in block.parameters():
            assert found[p] == (0.1 if i < 2 else 1.0, 0.3 if p.ndim > 1 else 0.0)
    assert found[method.head.weight] == (1.0, 0.3) and len(found) == len(list(method.parameters()))


def test_a_rate_is_what_the_optimizer_steps_with(splits):
    """AdamW's first step has the length of the learning rate, whatever the gradient."""
    steps = {}
    for rate in (1.0, 0.1):
        source = encoder()
        config = train.TrainConfig(steps=1, batch_size=20, lr=1e-3, warmup=0.0, weight_decay=0.0, progress=False)
        method = transfer.Transferred(source, 10, copied=2, frozen=False, rate=rate)
        evaluate.train_on_labels(method, splits["train"], 2, 0, config, "cpu")
        moved = [(a - b).abs().median() for a, b in zip(method.encoder.parameters(), source.parameters())]
        steps[rate] = moved[0].item()
    assert steps[1.0] == pytest.approx(1e-3, rel=0.01) and steps[0.1] == pytest.approx(1e-4, rel=0.01)


def test_the_second_half_of_a_gradual_run_has_labels_as_before_and_views_of_its_own(splits, monkeypatch):
    seen = []

    def fit(method, data, config, device):
        views = devices.generator(config.seed + 1)
        seen.append((config.steps, data[1], method.views((data[0][:4], data[1][:4]), views)[0]))

    monkeypatch.setattr(train, "fit", fit)
    transfer.train(encoder(), splits["train"], 2, seed=3, copied=3, mode="gradual", config=FEW, device="cpu")
    (first, labels, views), (rest, again, others) = seen
    assert first + rest == FEW.steps and torch.equal(labels, again)
    assert not torch.equal(views, others)


def test_a_gradual_run_moves_the_head_first_and_then_everything(splits):
    source = encoder()
    method = transfer.train(source, splits["train"], 2, seed=0, copied=3, mode="gradual", config=FEW, device="cpu")
    assert not any(same(a, b) for a, b in zip(method.encoder.blocks, source.blocks))
    assert not any(map(transfer.is_frozen, method.encoder.blocks)) and method.rate == transfer.SLOWER
    fine = transfer.train(source, splits["train"], 2, seed=0, copied=3, mode="fine-tuned", config=FEW, device="cpu")

    def far(m):
        return sum((a - b).norm() for a, b in zip(m.encoder.blocks[:3].parameters(), source.blocks[:3].parameters()))

    assert far(method) < far(fine) / 3


# ---- a classifier -----------------------------------------------------------------------------------------------


def test_copying_nothing_is_supervised_training_from_scratch(splits):
    ours = transfer.train(encoder(), splits["train"], 2, seed=3, copied=0, mode="frozen", config=FEW, device="cpu")
    theirs = evaluate.train_supervised(encoder().config(), splits["train"], 2, 3, config=FEW, device="cpu")
    assert same(ours, theirs)


def test_copying_everything_frozen_is_a_linear_probe_of_the_source(splits):
    source = encoder()
    method = transfer.train(source, splits["train"], 2, seed=0, config=FEW, device="cpu")
    x = to_float(splits["test"].images)
    with torch.no_grad():
        assert torch.equal(method.eval().encoder(x), source.eval()(x))
    assert evaluate.correct(method, splits["test"]).shape == (300,)


def test_label_efficiency_is_train_and_correct_for_each_draw(splits):
    source = encoder()
    scores = transfer.label_efficiency(source, splits, [1, 2], draws=2, copied=2, config=FEW, device="cpu")
    assert list(scores) == [1, 2] and scores[1].correct.shape == (2, 300)
    method = transfer.train(source, splits["train"], 2, seed=1, copied=2, config=FEW, device="cpu")
    assert np.array_equal(scores[2].correct[1], evaluate.correct(method, splits["test"]))
    assert np.array_equal(scores[2].sources, splits["test"].sources.numpy())


def test_a_mode_that_does_not_exist_is_said(splits):
    with pytest.raises(ValueError, match="unknown mode 'froze'. Did you mean 'frozen'"):
        transfer.train(encoder(), splits["train"], 2, seed=0, mode="froze", config=FEW, device="cpu")


def test_the_table_says_what_trains():
    method = transfer.Transferred(encoder(), 7, copied=2, rate=0.5)
    lines = transfer.table(method)
    assert [(x.copied, x.frozen, x.rate) for x in lines] == [(True, True, 0), (True, True, 0), *[(False, False, 1)] * 3]
    assert [x.parameters for x in lines][-1] == 10 * 7 + 7
    assert sum(x.parameters for x in lines) == sum(p.numel() for p in method.parameters())
    transfer.unfreeze(method.encoder)
    assert [x.rate for x in transfer.table(method)] == [0.5, 0.5, 1, 1, 1]
    assert transfer.render(lines).splitlines()[1].split() == ["block", "1", "116", "yes", "yes", "0"]


# ---- torchvision's weights --------------------------------------------------------------------------------------


def theirs(seed: int = 0) -> nn.Module:
    from torchvision.models import resnet18

    with devices.seeded(seed):
        net = resnet18(weights=None)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.running_mean, module.bias.data):
                    tensor.normal_(0, 0.2)
                for tensor in (module.running_var, module.weight.data):
                    tensor.uniform_(0.5, 1.5)
    return net.eval()


def test_torchvision_s_weights_give_what_they_give_there(tmp_path):
    net = theirs()
    torch.save(net.state_dict(), tmp_path / "resnet18.pth")
    ours = transfer.from_torchvision(tmp_path / "resnet18.pth").eval()
    x = torch.rand(2, 3, 64, 64, generator=devices.generator(0))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        first = net.relu(net.bn1(net.conv1((x - mean) / std)))
        mine = ours.blocks[0][:3](ours.normalize(x))
        assert torch.allclose(first[..., 2:-2, 2:-2], mine[..., 2:-2, 2:-2], atol=1e-4)
        assert not torch.allclose(first, mine, atol=1e-2)  # the border, as the docstring says
        # A picture whose surroundings are the grey that ours pads with: the same to the end.
        net.fc = nn.Identity()
        grey = nn.functional.pad(x[..., :32, :32], (112, 112, 112, 112), value=0.5)
        a, b = net((grey - mean) / std), ours(grey)
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.99


def test_other_weights_are_refused():
    for wrong in ({}, {"conv1.weight": torch.zeros(64, 3, 7, 7)}, nets.ConvNet().state_dict()):
        with pytest.raises(ValueError, match="not the weights of torchvision's ResNet-18"):
            transfer.from_torchvision(wrong)


def test_augment_is_handed_on(splits):
    method = transfer.Transferred(encoder(), 10, augment=Augment())
    x, _ = method.views((splits["train"].images[:4], splits["train"].labels[:4]))
    assert torch.equal(x, to_float(splits["train"].images[:4]))


# ---- worth in labels --------------------------------------------------------------------------------------------


def test_an_accuracy_is_worth_the_labels_with_which_scratch_reaches_it():
    counts, curve = [1, 10, 100], [0.2, 0.6, 0.8]
    assert [transfer.worth(a, counts, curve) for a in curve] == pytest.approx(counts)
    assert transfer.worth(0.4, counts, curve) == pytest.approx(10**0.5)
    assert transfer.worth(0.65, counts, curve) == pytest.approx(10**1.25)
    assert transfer.worth(0.1, counts, curve) == pytest.approx(1) and transfer.worth(
        0.9, counts, curve
    ) == pytest.approx(100)


@pytest.mark.parametrize(
    ("counts", "curve", "message"),
    [
        ([1, 10], [0.5], "2 counts and 1 accuracies"),
        ([1, 10], [0.5, 0.5], "must both rise"),
        ([5, 1], [0.1, 0.2], "rise"),
    ],
)
def test_a_curve_that_does_not_rise_is_refused(counts, curve, message):
    with pytest.raises(ValueError, match=message):
        transfer.worth(0.5, counts, curve)
