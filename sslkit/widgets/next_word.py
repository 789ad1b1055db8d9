"""Type a sentence, see which words a model expects next, pick one, and go on."""

from __future__ import annotations

import copy
from functools import partial

import torch
from ipywidgets import Button, FloatSlider, Layout, Text
from torch import Tensor

from sslkit import methods, plots, words
from sslkit.widgets.panel import Drawing, Panel, hint, row

CHOICES = 8  # words to pick from
_NO_SPACE = frozenset(".,;:!?)]}")  # signs that stand at the word before them


def next_word(method: methods.OnWords, vocabulary: words.Vocabulary, text: str = "") -> Panel:
    """Type a text; the likeliest next words stand below it as buttons. Press one, or let one be drawn, and go on.

    The slider sets the temperature: below 1 the likely words become likelier, above 1 the unlikely ones.

    Raises TypeError for a method that does not predict words, and ValueError if it has another vocabulary.
    """
    state = Writer(method, vocabulary, text)
    field = Text(
        value=text, description="text", continuous_update=False, layout=Layout(width="100%"), placeholder="type here"
    )
    slider = FloatSlider(value=1.0, min=0.1, max=3.0, step=0.1, description="temperature", readout_format=".1f")
    buttons: list[Button] = []

    def draw() -> Drawing:
        field.value, slider.value = state.text, state.temperature
        for button, (number, p) in zip(buttons, state.choices(), strict=True):
            button.description = f"{vocabulary.words[number]}  {p:.2f}"
        return state.draw()

    panel = Panel(draw, still=state.draw)
    panel.react(field, lambda: setattr(state, "text", field.value))
    panel.react(slider, lambda: setattr(state, "temperature", round(slider.value, 1)))
    buttons += [panel.button("", partial(state.pick, place)) for place in range(state.offered)]
    acts = [panel.button("draw a word", state.draw_one), panel.button("take back a word", state.take_back)]
    line = hint("Type, press Enter, then pick the next word:")
    return panel.lay_out(line, field, row(buttons), row([*acts, slider]), panel.picture, panel.sentence)


class Writer:
    """A text, the temperature, and what a model expects after the text's last k words."""

    def __init__(self, method: methods.OnWords, vocabulary: words.Vocabulary, text: str = ""):
        if not isinstance(method, methods.OnWords):
            raise TypeError(
                f"next_word needs a method that predicts words; got {type(method).__name__}. "
                "Train one: methods.NextWord(nets.ContextNet(len(vocabulary))), or take checkpoint.load_reader(path)."
            )
        if len(vocabulary) != method.encoder.vocabulary:
            raise ValueError(
                f"the network was made for {method.encoder.vocabulary} words, and the vocabulary has "
                f"{len(vocabulary)}. Give the vocabulary that it was trained with."
            )
        if len(vocabulary) < 3:
            raise ValueError("the vocabulary holds no word beside <unk> and <s>, so there is none to pick.")
        self.net, self.vocabulary = copy.deepcopy(method).eval(), vocabulary
        self.text, self.temperature, self.offered = text, 1.0, min(CHOICES, len(vocabulary) - 2)
        self.generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def probabilities(self) -> Tensor:
        """(V,), of the words that can be picked: neither <unk> nor <s>; sum 1."""
        k = self.net.encoder.k
        context = ([words.START] * k + self.vocabulary.encode(self.text))[-k:]
        device = next(self.net.parameters()).device
        log_p = self.net.log_probabilities(torch.tensor([context], device=device))[0].cpu()
        log_p[[words.UNKNOWN, words.START]] = float("-inf")
        return (log_p / self.temperature).softmax(dim=0)

    def choices(self) -> list[tuple[int, float]]:
        """The likeliest words, by their numbers, with their probabilities."""
        top = self.probabilities().topk(self.offered)
        return list(zip(top.indices.tolist(), top.values.tolist()))

    def pick(self, place: int) -> None:
        self._append(self.choices()[place][0])

    def draw_one(self) -> None:
        self._append(int(torch.multinomial(self.probabilities(), 1, generator=self.generator)))

    def take_back(self) -> None:
        found = list(words.TOKEN.finditer(self.text))
        self.text = self.text[: found[-1].start()].rstrip() if found else ""

    def _append(self, number: int) -> None:
        word = self.vocabulary.words[number]
        glue = "" if word in _NO_SPACE or not self.text or self.text[-1:] in "([{" or self.text[-1:].isspace() else " "
        self.text += glue + word

    def draw(self) -> Drawing:
        choices = self.choices()
        names = [self.vocabulary.words[number] for number, _ in choices]
        tokens = words.tokenise(self.text)
        unknown = [token for token in dict.fromkeys(tokens) if token not in self.vocabulary.numbers]
        read = self.vocabulary.decode(self.vocabulary.encode(self.text)[-self.net.encoder.k :]) or "nothing"
        said = f"It reads: {read}. Next: {names[0]!r} with probability {choices[0][1]:.2f}"
        rest = 1 - sum(p for _, p in choices)
        said += f"; words that are not shown: {rest:.2f}. Temperature {self.temperature:.1f}."
        if unknown:
            said += f" Not in the vocabulary, and read as <unk>: {', '.join(unknown[:5])}."
        figure = plots.Figure(figsize=(7.0, 0.6 + 0.3 * len(names)), layout="constrained")
        axis = figure.subplots()
        axis.barh(range(len(names)), [p for _, p in choices], color=plots.SSL)
        axis.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
        for place, (_, p) in enumerate(choices):
            axis.text(p, place, f" {p:.1%}", va="center", fontsize=10)
        # An unsure network spreads its guess over thousands of words: on an axis up to 1 no bar would be seen.
        axis.set(xlim=(0, max(0.1, 1.15 * choices[0][1])), xlabel="probability", ylabel="next word")
        axis.set_title("the likeliest next words", fontsize=12)
        return figure, said
