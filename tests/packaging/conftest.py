from __future__ import annotations

import pytest

from tests.lab.packages import Packages, packages
from tests.packaging.building import obstacle


@pytest.fixture(scope="session")
def can_build() -> None:
    why_not = obstacle()
    if why_not:
        pytest.skip(f"NO PACKAGES, nothing was built: {why_not}")


@pytest.fixture(scope="session")
def debs(can_build: None) -> Packages:
    """Those that the lab installs."""
    return packages()
