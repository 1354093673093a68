"""The two networks of `trained.py`, in their own module so that torch is loaded only when needed.

Shape letters: B texts, L words, W width, D output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WINDOWS = (1, 2, 3, 4)
"""Kernel sizes of the convolutions, in words."""


class _Words(nn.Module):
    """Word vectors, with dropout of whole words in training; index 0 is padding."""

    def __init__(self, words: int, width: int, dropout: float) -> None:
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=0)
        self.dropout = dropout

    def forward(self, tokens_BL: Tensor) -> tuple[Tensor, Tensor]:
        is_real_BL = tokens_BL > 0
        if self.training and self.dropout:
            tokens_BL = tokens_BL.masked_fill(
                torch.rand(tokens_BL.shape, device=tokens_BL.device) < self.dropout / 2, 0
            )
        return self.table(tokens_BL), is_real_BL


class TextCnnNetwork(nn.Module):
    """Convolutions over 1 to 4 words, max pooling, and one linear layer."""

    def __init__(self, words: int, width: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.words = _Words(words, width, dropout)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, size) for size in WINDOWS)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width * len(WINDOWS), dim)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Map word indexes [B, L] to vectors [B, D]."""
        x_BLW, is_real_BL = self.words(tokens_BL)
        strongest = []
        for size, convolution in zip(WINDOWS, self.convolutions, strict=True):
            answers_BWL = torch.relu(
                convolution(nn.functional.pad(x_BLW.transpose(1, 2), (0, size - 1)))
            )
            strongest.append(
                (answers_BWL * is_real_BL[:, None]).amax(dim=2)
            )  # a window counts where its first word is real
        vectors: Tensor = self.out(self.dropout(torch.cat(strongest, dim=1)))
        return vectors


class GruNetwork(nn.Module):
    """A bidirectional GRU, mean and max pooling over words, and one linear layer."""

    def __init__(self, words: int, width: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.words = _Words(words, width, dropout)
        self.recurrence = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(4 * width, dim)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Map word indexes [B, L] to vectors [B, D]."""
        x_BLW, is_real_BL = self.words(tokens_BL)
        lengths = is_real_BL.sum(dim=1)
        packed = nn.utils.rnn.pack_padded_sequence(
            x_BLW, lengths, batch_first=True, enforce_sorted=False
        )
        said_BLW, _ = nn.utils.rnn.pad_packed_sequence(
            self.recurrence(packed)[0], batch_first=True, total_length=tokens_BL.shape[1]
        )
        real = is_real_BL[..., None]
        largest = said_BLW.masked_fill(~real, torch.finfo(said_BLW.dtype).min).amax(dim=1)
        mean = (said_BLW * real).sum(dim=1) / lengths[:, None]
        both = self.dropout(torch.cat([mean, largest], dim=1))
        vectors: Tensor = self.out(both)
        return vectors
