"""The arithmetic of ``semantics: mergekit``: models merged tensor by tensor as mergekit 0.1.5 does, bit for bit.

Written anew from how that version computes; every operation is torch's own, in the order and the dtype it has there.
torch is imported inside the functions that compute, so that methods can be listed without it.
"""

from merging.mergekit.table import METHODS, VERSION, mergekit_method

__all__ = ["METHODS", "VERSION", "mergekit_method"]
