"""A curve as a small drawing in SVG, with the band of its intervals."""

import math

from markupsafe import Markup, escape

from garrison.core.robustness_card import Curve, Point

_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 42
_LOGARITHMIC = 50
"""Ratio of the largest to the smallest x from which the axis is logarithmic."""


def plot(curve: Curve) -> Markup:
    """The drawing; y goes from 0 to 1 or to its largest value."""
    points = [one for one in curve.points if math.isfinite(one.x) and math.isfinite(one.y)]
    if not points:
        return Markup("")
    axis = _Axis(points)
    line = " ".join(f"{axis.x(one.x):.1f},{axis.y(one.y):.1f}" for one in points)
    band = ""
    if all(one.low is not None and one.high is not None for one in points) and len(points) > 1:
        upper = [f"{axis.x(one.x):.1f},{axis.y(one.high or 0):.1f}" for one in points]
        lower = [f"{axis.x(one.x):.1f},{axis.y(one.low or 0):.1f}" for one in reversed(points)]
        band = f'<polygon class="band" points="{" ".join([*upper, *lower])}"/>'
    dots = "".join(
        f'<circle cx="{axis.x(one.x):.1f}" cy="{axis.y(one.y):.1f}" r="3">'
        f"<title>{one.x:.6g}: {one.y:.3f}</title></circle>"
        for one in points
    )
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{axis.y(value):.1f}" y2="{axis.y(value):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{axis.y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in axis.heights()
    )
    marks = "".join(
        f'<text x="{axis.x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{value:.3g}</text>'
        for value in axis.places()
    )
    return Markup(
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(curve.name)}">'
        f'{grid}{band}<polyline points="{line}"/>{dots}{marks}'
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle" class="axis">{escape(curve.x)}</text>'
        f'<text x="12" y="{(_TOP + bottom) / 2}" text-anchor="middle" class="axis" '
        f'transform="rotate(-90 12 {(_TOP + bottom) / 2})">{escape(curve.y)}</text></svg>'
    )


class _Axis:
    """From values to places in the drawing."""

    def __init__(self, points: list[Point]) -> None:
        xs = [one.x for one in points]
        self._logarithmic = min(xs) > 0 and max(xs) / min(xs) >= _LOGARITHMIC
        self._low, self._high = self._scaled(min(xs)), self._scaled(max(xs))
        self._top = max(1.0, *(one.high if one.high is not None else one.y for one in points))
        self._xs = xs

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value

    def x(self, value: float) -> float:
        share = (self._scaled(value) - self._low) / (self._high - self._low) if self._high > self._low else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / self._top * (_HEIGHT - _TOP - _BOTTOM)

    def heights(self) -> list[float]:
        return [self._top * number / 4 for number in range(5)]

    def places(self) -> list[float]:
        """Values that are written under the axis: those of points, no two so near that they would overlap."""
        shown: list[float] = []
        for value in sorted(set(self._xs)):
            if not shown or self.x(value) - self.x(shown[-1]) > 44:
                shown.append(value)
        return shown
