"""Departures from New York, and what others make of them."""
