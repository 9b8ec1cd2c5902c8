"""Random trees, bindings and link farms: compiled translator, readable one and (as root) the kernel agree."""

from __future__ import annotations

import os

from .engine import Failed


class Views:
    """Each turn is one random tree with random paths."""

    name = "views"
    size = 300
    unit = "paths"
    ran = 0

    def open(self) -> None:
        """Nothing is needed."""

    def turn(self, seed: int, size: int) -> str:
        """Compare the two translators, and the readable one with the kernel."""
        from tests.test_path import compare_with_kernel
        from tests.test_translate_property import compare_seed

        try:
            compare_seed(seed, size)
            if os.geteuid() == 0:
                compare_with_kernel(seed, size)
        except AssertionError as error:
            raise Failed(str(error)) from error
        self.ran += size
        return "agreed"

    def close(self) -> None:
        """Nothing is left."""
