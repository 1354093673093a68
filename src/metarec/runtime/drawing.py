"""Plots as SVG text, byte-identical for identical figures.

Works without a display and changes neither pyplot nor any global setting of matplotlib.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from metarec.runtime.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#8C564B")
"""Palette of Okabe and Ito 2008, distinguishable for color-blind readers; it repeats beyond
eight.
"""
PHONE = 4.4
"""Width in inches of a plot whose letters can be read on a phone."""
QUIET = "#999999"
"""Gray of series that are not highlighted."""


def color(place: int) -> str:
    """Return the color of the series at `place`."""
    return COLORS[place % len(COLORS)]


def ramp(share: float) -> str:
    """Return the color at `share`, in [0, 1], of a scale from light to dark, for ordered groups."""
    low, middle, high = (140, 200, 230), (30, 110, 180), (15, 25, 80)
    start, end, way = (low, middle, 2 * share) if share <= 0.5 else (middle, high, 2 * share - 1)
    return "#" + "".join(f"{round(a + way * (b - a)):02x}" for a, b in zip(start, end, strict=True))


def arms(middle: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Return [2, N] the lengths of error bars below and above each middle; 0 where rounding puts an
    end of the interval beyond the middle.
    """
    lengths = [np.subtract(middle, low), np.subtract(high, middle)]
    return np.asarray(np.maximum(np.stack([np.atleast_1d(length) for length in lengths]), 0.0))


def new_figure(width: float, height: float, *, extra: str = "report") -> Figure:
    """Return an empty figure; `width` and `height` are inches.

    Args:
        extra: extra to name in the error if matplotlib is missing.

    Raises:
        MissingExtra: if matplotlib is not installed.
    """
    figure: Figure = require("matplotlib.figure", extra).Figure(
        figsize=(width, height), layout="constrained"
    )
    return figure


def to_svg(figure: Figure) -> str:
    """Return the figure as an `<svg>` element for a page: text stays text, and the output does not
    depend on the clock.
    """
    import matplotlib

    page = io.StringIO()
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "metarec", "font.family": "sans-serif"}
    ):
        figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    text = page.getvalue()
    return text[text.index("<svg") :]


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file; the output does not depend on the clock."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=130, metadata={"Software": None})
    return image.getvalue()


def svg_for_page(figure: Figure) -> str:
    """Return the figure as SVG for a report's page: its black and dark gray take the color of the
    page's text, its first color the page's own, and its background is transparent.
    """
    svg = to_svg(figure).replace("fill: #ffffff", "fill: none")
    svg = svg.replace("#000000", "currentColor").replace("#444444", "currentColor")
    return svg.replace(COLORS[0].lower(), "var(--ours)").replace("<svg ", '<svg role="img" ', 1)
