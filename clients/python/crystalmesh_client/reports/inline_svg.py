"""Matplotlib figures as SVG within a page, in the page's own colours, light or dark."""

from __future__ import annotations

import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

from crystalmesh_client.plots.markup import escaped

_PAPER = re.compile(r"(fill|stroke): #ffffff")
_INK = re.compile(r"(fill|stroke): #000000")
_COMMENTS = re.compile(r"<!--.*?-->", re.DOTALL)
_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)


def inline_svg(figure: Figure, label: str, *, name: str) -> str:
    """The figure as an `svg` element; the same figure under the same name gives the same text.

    Black becomes the page's ink and white its paper. Words are outlines, so that they need no font; `name`
    keeps apart what figures of one page define.
    """
    written = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata={"Date": None}, transparent=False)
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    for needless in (_COMMENTS, _METADATA, _STYLE):  # the style would hold for the whole page
        svg = needless.sub("", svg)
    svg = _INK.sub(r"\1: currentColor", _PAPER.sub(r"\1: var(--card)", svg))
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(rf'xlink:href="#{name}-candidate', 'xlink:href="#candidate', svg)
    svg = re.sub(r">\s+<", "><", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escaped(label)}" class="plot"', 1)
