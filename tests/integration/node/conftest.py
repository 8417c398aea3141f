"""What the tests of real links and processes share."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.certificates import Certify, certifier


@pytest.fixture
def certify(tmp_path: Path) -> Certify:
    return certifier(tmp_path)
