"""The same quiet environment as that of the integration tests, and their databases."""

from tests.integration.conftest import connect, postgres_schema, postgres_server, postgres_url, surroundings

__all__ = ["connect", "postgres_schema", "postgres_server", "postgres_url", "surroundings"]
