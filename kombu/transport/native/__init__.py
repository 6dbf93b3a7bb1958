"""What the transports that speak AMQP 0-9-1 themselves have in common, whatever driver carries the frames.

Decisions only: what goes on the wire and what came from it, as plain values. No driver is imported here.
"""
