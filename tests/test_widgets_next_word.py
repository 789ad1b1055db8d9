"""The next word by hand: what is shown is what the model says; picking, drawing, taking back, temperature."""

from __future__ import annotations

import base64
import io
import re

import nbformat
import pytest
import torch
from ipywidgets import Button, FloatSlider, Text
from PIL import Image

from sslkit import device as devices
from sslkit import methods, nets, widgets, words

VOCABULARY = words.Vocabulary(("<unk>", "<s>", *"abcdefgh", ".", "(", "$"))
K = 3


def model(kind: str = "context"):
    with devices.seeded(0):
        if kind == "context":
            method = methods.NextWord(nets.ContextNet(len(VOCABULARY), K, 8, 16))
        else:
            method = methods.NextWords(nets.CausalTransformer(len(VOCABULARY), K, 8, 1, 2))
        torch.nn.init.normal_(method.head.weight, std=1.0)  # far from even
    return method


def parts(widget, kind: type) -> list:
    found = [widget] if isinstance(widget, kind) else []
    return found + [p for child in getattr(widget, "children", ()) for p in parts(child, kind)]


def field(panel) -> Text:
    return parts(panel, Text)[0]


def choices(panel) -> list[Button]:
    return parts(panel, Button)[: widgets.CHOICES]


def button(panel, name: str) -> Button:
    (found,) = [b for b in parts(panel, Button) if b.description == name]
    return found


def said(panel) -> str:
    return re.sub("<[^>]*>", "", panel.sentence.value).replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")


def expected(method, text: str, temperature: float = 1.0) -> torch.Tensor:
    context = ([1] * K + VOCABULARY.encode(text))[-K:]
    with torch.no_grad():
        p = method.log_probabilities(torch.tensor([context]))[0].exp()
    p[:2] = 0
    p = p ** (1 / temperature)
    return p / p.sum()


@pytest.mark.parametrize("kind", ["context", "causal"])
@pytest.mark.parametrize("text", ["", "a b", "a b c d e"])
def test_it_offers_the_likeliest_words_with_their_probabilities(kind, text):
    method = model(kind)
    panel = widgets.next_word(method, VOCABULARY, text)
    p = expected(method.eval(), text)
    top = p.topk(widgets.CHOICES)
    names = [f"{VOCABULARY.words[i]}  {q:.2f}" for i, q in zip(top.indices.tolist(), top.values.tolist())]
    assert [b.description for b in choices(panel)] == names
    assert f"Next: '{VOCABULARY.words[top.indices[0]]}' with probability {top.values[0]:.2f}" in said(panel)
    assert f"words that are not shown: {1 - top.values.sum():.2f}" in said(panel)


def test_a_word_that_is_picked_goes_behind_the_text_and_the_next_is_asked():
    method = model()
    panel = widgets.next_word(method, VOCABULARY, "a b")
    word = choices(panel)[2].description.split()[0]
    choices(panel)[2].click()
    text = field(panel).value
    assert words.tokenise(text) == ["a", "b", word]
    assert choices(panel)[0].description.endswith(f"{expected(method.eval(), text).max():.2f}")
    button(panel, "take back a word").click()
    assert field(panel).value == "a b"


@pytest.mark.parametrize(
    ("text", "word", "whole"),
    [("a", "b", "a b"), ("a", ".", "a."), ("a (", "b", "a (b"), ("", "b", "b"), ("a ", "b", "a b"), ("a", "(", "a (")],
)
def test_signs_stand_where_they_do_in_print(text, word, whole):
    state = widgets.Writer(model(), VOCABULARY, text)
    state._append(VOCABULARY.numbers[word])
    assert state.text == whole


def test_taking_back_goes_on_to_the_beginning_and_stops_there():
    panel = widgets.next_word(model(), VOCABULARY, "A b, c")
    seen = []
    for _ in range(6):
        button(panel, "take back a word").click()
        seen.append(field(panel).value)
    assert seen == ["A b,", "A b", "A", "", "", ""]
    assert "It reads: nothing." in said(panel)


def test_typing_is_read_and_what_the_vocabulary_lacks_is_named():
    panel = widgets.next_word(model(), VOCABULARY)
    before = panel.picture.value
    field(panel).value = "A zebra b"
    assert "It reads: a <unk> b." in said(panel) and "read as <unk>: zebra." in said(panel)
    assert panel.picture.value != before
    field(panel).value = "a b"
    assert "<unk>" not in said(panel)


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_the_temperature_is_that_of_the_formula(temperature):
    method = model()
    panel = widgets.next_word(method, VOCABULARY, "a b")
    parts(panel, FloatSlider)[0].value = temperature
    p = expected(method.eval(), "a b", temperature)
    assert choices(panel)[0].description.endswith(f"{p.max():.2f}")
    assert f"Temperature {temperature:.1f}" in said(panel)


def test_words_are_drawn_as_often_as_they_are_likely():
    method = model()
    state = widgets.Writer(method, VOCABULARY, "a b")
    p, counts = expected(method.eval(), "a b"), torch.zeros(len(VOCABULARY))
    for _ in range(2000):
        state.text = "a b"
        state.draw_one()
        counts[VOCABULARY.numbers[words.tokenise(state.text)[-1]]] += 1
    assert (counts / 2000 - p).abs().max() < 0.04 and counts[:2].sum() == 0


def test_it_shows_the_model_as_it_was_and_leaves_it_alone():
    method = model()
    panel = widgets.next_word(method, VOCABULARY, "a b")
    before = [b.description for b in choices(panel)]
    assert method.training
    with torch.no_grad():
        method.head.weight.neg_()
    panel.refresh()
    assert [b.description for b in choices(panel)] == before


def test_a_picture_and_a_sentence_stand_in_for_it():
    panel = widgets.next_word(model(), VOCABULARY, "a b $")
    bundle = panel._repr_mimebundle_()
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size[0] > 300
    assert bundle["text/plain"].startswith("It reads: a b $. Next:") and "Run this cell" in bundle["text/plain"]
    nbformat.from_dict(bundle)


def test_every_control_has_a_name():
    panel = widgets.next_word(model(), VOCABULARY, "a")
    for control in parts(panel, Button) + parts(panel, Text) + parts(panel, FloatSlider):
        assert control.description.strip() and not control.disabled


def test_another_method_or_vocabulary_is_refused():
    with pytest.raises(TypeError, match="needs a method that predicts words; got Rotation"):
        widgets.next_word(methods.Rotation(nets.ConvNet(3, widths=(4, 8))), VOCABULARY)
    with pytest.raises(ValueError, match="made for 13 words, and the vocabulary has 3"):
        widgets.next_word(model(), words.Vocabulary(("<unk>", "<s>", "a")))


def test_a_small_vocabulary_offers_what_it_has():
    vocabulary = words.Vocabulary(("<unk>", "<s>", "a", "b"))
    panel = widgets.next_word(methods.NextWord(nets.ContextNet(4, 2, 4, 4)), vocabulary)
    assert len(parts(panel, Button)) == 2 + 2
    with pytest.raises(ValueError, match="no word beside"):
        widgets.next_word(methods.NextWord(nets.ContextNet(2, 2, 4, 4)), words.Vocabulary(("<unk>", "<s>")))
