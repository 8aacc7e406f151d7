"""What the paper found (section 3), to stand beside what an experiment did."""

PAPER = {"sensitivity": "75.31%", "specificity": "95.15%"}
"""Experiment 1, as it states it."""
PAPER_ACCURACY = {"clean": "96.57%", "noisy": "95.93%", "refined": "96.50%"}
"""Experiment 2: the best accuracy on B of the networks trained on A, A' and A''."""
PAPER_CLOSED = "89%"
"""How much of the gap between A and A' the correction closed."""
