"""What a system is asked to do, in its own process. Each work answers with plain values."""
