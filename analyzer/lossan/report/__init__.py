"""Figures and self-contained HTML pages (extra ``report``)."""

from lossan.report._figures import (
    BLUE,
    GREEN,
    GREY,
    OCHRE,
    RED,
    VIOLET,
    Line,
    draw_lines,
    draw_sequences,
)
from lossan.report._findings import Page, findings_page
from lossan.report._images import Thumbnails, find_image, unreadable
from lossan.report._page import check_report, render_page
from lossan.report._suspects import read_reasons, read_report

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "OCHRE",
    "RED",
    "VIOLET",
    "Line",
    "Page",
    "Thumbnails",
    "check_report",
    "draw_lines",
    "draw_sequences",
    "find_image",
    "findings_page",
    "read_reasons",
    "read_report",
    "render_page",
    "unreadable",
]
