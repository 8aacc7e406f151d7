"""The plot of typical sequences: a real PNG, and none without matplotlib."""

import io
import sys

import numpy as np
import pytest

from lossan import analyze
from lossan.plots import can_plot, draw_sequences
from lossan.testing import planted_log

matplotlib = pytest.importorskip("matplotlib")


def drawn(flagged, unflagged):
    file = io.BytesIO()
    n_epochs = flagged.shape[1]
    draw_sequences(file, np.arange(1, n_epochs + 1), flagged, unflagged)
    file.seek(0)
    return file


def colours(file):
    from matplotlib.image import imread

    pixels = imread(file)[:, :, :3]
    red = (pixels[..., 0] > pixels[..., 2] + 0.2).sum()
    blue = (pixels[..., 2] > pixels[..., 0] + 0.2).sum()
    return int(red), int(blue)


def test_both_kinds_are_drawn():
    file = drawn(np.full((3, 5), 2.0), np.full((3, 5), 0.5))
    assert file.getvalue().startswith(b"\x89PNG\r\n\x1a\n")
    red, blue = colours(file)
    assert red > 500
    assert blue > 500


def test_one_kind_alone():
    nothing = np.empty((0, 5))
    red, blue = colours(drawn(nothing, np.ones((2, 5))))
    assert red == 0 < blue
    red, blue = colours(drawn(np.ones((2, 5)), nothing))
    assert blue == 0 < red


def test_lines_are_what_they_are_said_to_be(monkeypatch):
    from matplotlib.figure import Figure

    seen = {}
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: seen.update(figure=figure))
    flagged, unflagged = np.array([[3.0, np.nan, 2.5]]), np.array([[1.0, 0.5, 0.1], [1, 1, 0]])
    draw_sequences(io.BytesIO(), np.array([3, 4, 7]), flagged, unflagged)
    axes = seen["figure"].axes[0]
    lines = [line.get_ydata() for line in axes.lines]
    np.testing.assert_array_equal(lines, [*unflagged, *flagged])
    assert all(line.get_xdata().tolist() == [3, 4, 7] for line in axes.lines)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["not flagged (2 typical)", "flagged (1 typical)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss (nats)")


def test_results_are_saved_with_it(tmp_path):
    assert "sequences.png" in analyze(planted_log()).save(tmp_path)
    assert (tmp_path / "sequences.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_results_are_saved_without_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not can_plot()
    files = analyze(planted_log()).save(tmp_path)
    assert files == ["findings.csv", "findings.parquet", "sequences.parquet", "summary.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == files
