"""The person at a dialogue's terminal: waits for a pattern, types an answer."""

from __future__ import annotations

import os
import re


class Dialogue:
    """What a session has written so far, and what is still to be typed."""

    def __init__(self, steps: tuple[tuple[str, str], ...], descriptor: int) -> None:
        self.steps, self.descriptor = list(steps), descriptor
        self.text = ""
        self.read = 0

    def take(self, data: bytes) -> None:
        """Take in output; type what is due now."""
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        while self.steps and (found := re.compile(self.steps[0][0], re.MULTILINE).search(self.text, self.read)):
            os.write(self.descriptor, self.steps.pop(0)[1].encode())
            self.read = found.end()
