"""Ours beside the predecessor and beside the raw driver, in one run."""
