"""The same quiet environment as that of the integration tests."""

from tests.integration.conftest import surroundings

__all__ = ["surroundings"]
