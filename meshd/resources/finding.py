"""The three kinds of problem that most checks of a resource find, for rules to which the spec gives no own code."""

from __future__ import annotations

from meshd.problems import Origin, Problem


def invalid(at: Origin, message: str, hint: str = "") -> Problem:
    return Problem(code="E-VALUE", at=at, message=message, hint=hint)


def doubtful(at: Origin, message: str, hint: str = "") -> Problem:
    """It is used as it stands, but hardly means what its author thinks."""
    return Problem(code="W-VALUE", at=at, message=message, hint=hint)


def legacy(at: Origin, message: str, hint: str = "") -> Problem:
    return Problem(code="W-LEGACY", at=at, message=message, hint=hint)
