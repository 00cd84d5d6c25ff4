"""The parts of `scripts/check-layers`, one file for each kind of rule."""
