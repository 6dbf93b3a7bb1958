"""System checks of the settings and the consumers."""
