"""Telling people elsewhere what happens to a run, beside the supervision.

Layer: supervise. Imports monitor and core.
"""
