"""Figures and self-contained HTML pages (extra ``report``)."""

from lossan.report._figures import Line, draw_lines, draw_sequences
from lossan.report._images import Thumbnails
from lossan.report._page import check_report, render_page

__all__ = [
    "Line",
    "Thumbnails",
    "check_report",
    "draw_lines",
    "draw_sequences",
    "render_page",
]
