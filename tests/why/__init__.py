"""Failing commands of real programs, and whether `pyroot trace --why` blames the right call (`python -m tests.why`)."""
