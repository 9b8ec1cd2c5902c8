"""The rows, a module for each group; each module has ``ROWS``."""
