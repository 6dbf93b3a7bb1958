"""The parts of the demo: nothing here is the site's code, nor uses it but from outside."""
