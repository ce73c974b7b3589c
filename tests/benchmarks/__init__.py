"""Benchmarks: whole processes, requests, memory and time, as ratios measured side by side.

``python -m tests.benchmarks`` runs them. What is measured is the wheel, plainly installed in an environment
of its own. The emulator runs in the process that measures, so that its CPU time counts for nobody. Each
benchmark checks that what it measured has happened. None checks a figure.
"""
