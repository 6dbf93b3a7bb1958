"""The parts of the benchmark over databases: each starts the processes of its systems and makes a table."""
