"""Prove that a training resumes exactly, or name the first leaf that differs and why.

The training runs once undisturbed and once killed at random moments; then every checkpoint
is compared. On a difference it runs once or twice more undisturbed, to tell a fault of the
resume from a training that never repeats itself.
"""
