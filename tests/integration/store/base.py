"""The base model that the stores of these tests hold."""

from tests.integration.models import llama

BASE = llama(seed=1)
