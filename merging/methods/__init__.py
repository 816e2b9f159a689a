"""Merge methods: the contract that each declares, one file for each, and the table of them all."""

from merging.methods.method import (
    Arithmetic,
    Coefficients,
    Computed,
    Fused,
    Inputs,
    Method,
    Part,
    Products,
    Spanned,
    Unified,
)
from merging.methods.parameters import Parameter, ParameterValue
from merging.methods.table import METHODS, all_methods, method_named

__all__ = [
    "METHODS",
    "Arithmetic",
    "Coefficients",
    "Computed",
    "Fused",
    "Inputs",
    "Method",
    "Parameter",
    "ParameterValue",
    "Part",
    "Products",
    "Spanned",
    "Unified",
    "all_methods",
    "method_named",
]
