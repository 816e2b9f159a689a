"""The verbs of the Store, by what they are for. Each opens its transactions and calls one module.

Modules that need numba or torch are imported by the verbs that use them, so that looking things up stays quick.
"""
