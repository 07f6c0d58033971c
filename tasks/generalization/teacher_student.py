"""`generalization/teacher_student`: gradient descent on a noisy linear teacher, at one ratio of samples to weights."""

from __future__ import annotations

from tasks.generalization.base import Linear


class TeacherStudent(Linear):
    """Learn from P = ratio x N noisy samples of a linear teacher; at P = N training to the end is worst."""

    name = "generalization/teacher_student"
    version = 2
    presets = {
        "smoke": {"dimension": 20, "draws": 4, "val": 20, "time": 20.0, "evaluations": 8},
        "small": {},
        "paper": {"dimension": 1000, "draws": 20, "time": 10000.0},
    }
    rank = "gen_error"
    margin = 0.4
