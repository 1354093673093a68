"""Small text encoders trained on the catalog alone: a convolutional (TextCNN) and a recurrent
network (GRU).

For texts that pretrained models do not cover: other languages, jargon, part numbers. They learn to
predict an item's collaborative vector from its words (any `targets`, most often
`collaborative_targets`), so that an item without events gets the vector that its events would give
it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarec.data.schema import BadInput
from metarec.features.encoders.base import STAGE, EncoderState, Targets, unit_rows
from metarec.features.encoders.text.counts import UNSPACED
from metarec.runtime.decomposition import truncated_svd
from metarec.runtime.device import device, in_memory, on_device
from metarec.runtime.progress import Progress, silent
from metarec.runtime.training import Watch, train, weights_of

KINDS = {"textcnn": "TextCNN", "gru": "GRU"}
TOKEN = re.compile(rf"{UNSPACED.pattern}|[^\W_]+")
"""A word, or a single letter of a script written without spaces."""
PAD, UNKNOWN, FIRST_WORD = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class TrainedOptions:
    """Size and training of a small text encoder."""

    words: int = 20_000
    """Maximum size of the vocabulary, the most frequent words; with more than 200 texts, a word
    must occur in two of them.
    """
    width: int = 64
    """Width of word vectors, and of each layer."""
    max_words: int = 128
    """Maximum of words of a text."""
    dropout: float = 0.4
    """Dropout of the pooled features; words are dropped whole at half this rate."""
    epochs: int = 30
    """Maximum of passes over the texts."""
    patience: int = 5
    """Passes without improvement on held-out texts before training stops."""
    held_out: float = 0.1
    """Share of texts held out for early stopping."""
    batch: int = 64
    """Texts in a mini-batch."""
    learning_rate: float = 2e-3
    """Step size of Adam."""

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise BadInput(f"held_out must lie in [0, 1), got {self.held_out}")


class TrainedEncoder:
    """TextCNN (Kim 2014, arXiv:1408.5882) or a bidirectional GRU (Cho et al. 2014,
    arXiv:1406.1078), trained on the catalog.

    Where we differ from the papers: word vectors are initialized at random, words are dropped whole
    in training, and the loss is the cosine distance from a target vector instead of classification.
    """

    def __init__(
        self,
        *,
        kind: str,
        words: list[str],
        options: TrainedOptions,
        dim: int,
        weights: dict[str, np.ndarray] | None = None,
    ) -> None:
        if kind not in KINDS:
            raise BadInput(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        self.kind, self.words, self.options, self.dim, self.name = (
            kind,
            words,
            options,
            dim,
            KINDS[kind],
        )
        self.held_out_cosine: float | None = None
        self._places = {word: place + FIRST_WORD for place, word in enumerate(words)}
        self._network = _network(kind, len(words) + FIRST_WORD, options, dim)
        if weights is not None:
            self._network.load_state_dict(
                {name: on_device(value) for name, value in weights.items()}
            )
        self._network.eval()

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        targets: np.ndarray,
        *,
        kind: str = "textcnn",
        weights: np.ndarray | None = None,
        options: TrainedOptions | None = None,
        rng: np.random.Generator,
        progress: Progress = silent,
    ) -> TrainedEncoder:
        """Learn to predict `targets` from `texts`; both of training rows only.

        Args:
            texts: n texts.
            targets: [n, d] target vectors; only their direction matters, and rows of zeros are
                ignored.
            kind: `textcnn` or `gru`.
            weights: [n] sample weights, such as the evidence behind each target; equal by default.
            options: size and training; the defaults if None.
            rng: source of randomness.
            progress: receives the share of epochs done.

        Raises:
            BadInput: if the rows do not match, or fewer than two texts can be learned from.
        """
        import torch

        options = options or TrainedOptions()
        directions = unit_rows(np.asarray(targets))
        usable, counts = _usable(texts, directions, weights)
        learned = [texts[int(row)] for row in usable]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            encoder = cls(
                kind=kind,
                words=_frequent_words(learned, options.words),
                options=options,
                dim=directions.shape[1],
            )
            encoder._train(learned, directions[usable], counts / counts.mean(), rng, progress)
        return encoder

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        """Return float32 vectors [n, dim]; see `TextEncoder`."""
        import torch

        tokens = self._tokens(texts)
        order = sorted(
            (row for row, ids in enumerate(tokens) if ids), key=lambda row: len(tokens[row])
        )
        vectors = np.zeros((len(texts), self.dim), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), 256):
                rows = order[start : start + 256]
                vectors[rows] = in_memory(self._network(_padded([tokens[row] for row in rows])))
                progress(STAGE, (start + len(rows)) / len(order))
        return unit_rows(vectors)

    def encode_queries(self, queries: Sequence[str]) -> np.ndarray:
        """Return vectors [n, dim] of queries; 0 where no word is known, as nothing can be said of
        them.
        """
        vectors = self.encode(queries)
        vectors[[not self.knows(query) for query in queries]] = 0.0
        return vectors

    def knows(self, text: str) -> bool:
        """Return whether any word of a text is in the vocabulary."""
        return any(word in self._places for word in _words(text, self.options.max_words))

    def state(self) -> EncoderState:
        """Return vocabulary and options for JSON, and weights as arrays."""
        from dataclasses import asdict

        return EncoderState(
            settings={
                "kind": self.kind,
                "words": self.words,
                "dim": self.dim,
                "options": asdict(self.options),
            },
            arrays={name: in_memory(value) for name, value in self._network.state_dict().items()},
        )

    @classmethod
    def from_state(cls, state: EncoderState) -> TrainedEncoder:
        """Return the encoder that `state()` was called on."""
        settings = state.settings
        return cls(
            kind=settings["kind"],
            words=settings["words"],
            options=TrainedOptions(**settings["options"]),
            dim=settings["dim"],
            weights=state.arrays,
        )

    def _train(
        self,
        texts: list[str],
        targets: np.ndarray,
        weights: np.ndarray,
        rng: np.random.Generator,
        progress: Progress,
    ) -> None:
        """Minimize the weighted cosine distance by Adam; keep the best state on held-out texts."""
        import torch

        options, network, tokens = self.options, self._network, self._tokens(texts)
        shuffled = rng.permutation(len(texts))
        evaluated, learned = np.split(shuffled, [int(options.held_out * len(texts))])
        optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate)

        def losses(epoch: int) -> Iterator[Any]:  # noqa: ARG001
            network.train()
            for rows in _steps(rng.permutation(learned), tokens, options.batch):
                cosine = self._cosine(tokens, targets, rows)
                yield ((1 - cosine) * on_device(weights[rows]).float()).mean()
            network.eval()

        def quality() -> float:
            with torch.no_grad():
                cosine = in_memory(self._cosine(tokens, targets, evaluated))
            return float(np.average(cosine, weights=weights[evaluated]))

        watch = Watch(
            quality=quality, state=lambda: weights_of(network), every=1, patience=options.patience
        )
        best = train(
            options.epochs,
            losses,
            optimizer,
            watch=watch if len(evaluated) else None,
            on_round=lambda done, _: progress("train text encoder", done / options.epochs),
        )
        if best.state is not None:
            network.load_state_dict(best.state)
            self.held_out_cosine = best.quality

    def _cosine(self, tokens: list[list[int]], targets: np.ndarray, rows: np.ndarray) -> Any:
        import torch

        encoded = self._network(_padded([tokens[row] for row in rows]))
        return torch.nn.functional.cosine_similarity(encoded, on_device(targets[rows]), dim=1)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the word indexes of each text; empty where it has no words."""
        max_words = self.options.max_words
        return [
            [self._places.get(word, UNKNOWN) for word in _words(text, max_words)] for text in texts
        ]


def _usable(
    texts: Sequence[str], directions: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that have words, a target and a weight above 0, and their weights.

    Raises:
        BadInput: if the rows do not match, or there are fewer than two.
    """
    if len(texts) != len(directions):
        raise BadInput(
            f"there are {len(texts):,} texts and {len(directions):,} targets; give one target "
            f"for each text"
        )
    counts = np.ones(len(texts)) if weights is None else np.asarray(weights, np.float64)
    has_words = np.array([TOKEN.search(text) is not None for text in texts], dtype=bool)
    usable = np.flatnonzero((directions != 0).any(axis=1) & (counts > 0) & has_words)
    if len(usable) < 2:
        raise BadInput(
            f"only {len(usable)} of {len(texts):,} texts have words and a target; a trained "
            f"encoder needs at least 2 "
            "(hundreds to be of use); take encoder='tfidf'"
        )
    return usable, counts[usable]


def collaborative_targets(matrix: Any, dim: int = 64, *, seed: int = 0) -> Targets:
    """Return collaborative vectors of the items, by truncated SVD of the normalized user-item
    matrix.

    Args:
        matrix: [users, items] sparse, above 0 where a training user took an item.
        dim: number of directions.
        seed: seed of the randomized SVD.

    Returns:
        A target for each item (zeros for items without users), weighted by the square root of its
        number of users.
    """
    from sklearn.preprocessing import normalize

    taken = (matrix > 0).astype(np.float32)
    takers = np.asarray(taken.sum(axis=0)).ravel()
    evened = (
        normalize(taken).multiply(1 / np.sqrt(np.maximum(takers, 1.0))).tocsr()
    )  # so that popular items and active users do not dominate
    size = min(dim, *evened.shape)
    _, strength, directions = truncated_svd(evened, size, seed, power_iterations=4)
    vectors = directions.T * np.sqrt(strength)
    popular = np.sqrt(
        takers / max(takers.sum(), 1.0)
    )  # the first singular vector in closed form, which is popularity alone
    vectors = np.ascontiguousarray(vectors - np.outer(popular, popular @ vectors), np.float32)
    vectors[takers == 0] = 0.0
    return Targets(vectors=vectors, weights=np.sqrt(takers))


def _words(text: str, max_words: int) -> list[str]:
    words: list[str] = []
    for match in TOKEN.finditer(text.lower()):
        words.append(match.group())
        if len(words) == max_words:
            break
    return words


def _frequent_words(texts: list[str], max_words: int) -> list[str]:
    counts = Counter(word for text in texts for word in set(_words(text, 10_000)))
    least = 2 if len(texts) > 200 else 1
    return [
        word
        for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:max_words]
        if count >= least
    ]


def _steps(order: np.ndarray, tokens: list[list[int]], batch: int) -> Iterator[np.ndarray]:
    """Yield batches of texts of similar length, sorted within random groups of 16 batches so that
    batches still vary.
    """
    for start in range(0, len(order), 16 * batch):
        run = np.array(sorted(order[start : start + 16 * batch], key=lambda row: len(tokens[row])))
        for inner in range(0, len(run), batch):
            yield run[inner : inner + batch]


def _padded(tokens: list[list[int]]) -> Any:
    import torch

    longest = max(map(len, tokens))
    return on_device(torch.tensor([row + [PAD] * (longest - len(row)) for row in tokens]))


def _network(kind: str, words: int, options: TrainedOptions, dim: int) -> Any:
    from metarec.features.encoders.text.networks import GruNetwork, TextCnnNetwork

    return {"textcnn": TextCnnNetwork, "gru": GruNetwork}[kind](
        words, options.width, dim, options.dropout
    ).to(device())
