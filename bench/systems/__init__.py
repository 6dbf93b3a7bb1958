"""What is measured: each system publishes and consumes the same messages, in a process and an environment of its own.

Used by ``child.py``, whose folder is the first place of imports.
"""
