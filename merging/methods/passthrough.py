"""passthrough: one model's tensors as they are, or scaled."""

from merging.methods.method import Fused, Method
from merging.methods.parameters import Parameter

_SCALE = Parameter("scale", 1.0, "s, factor on the tensors", -1e30, 1e30)

METHOD = Method(
    "passthrough",
    "the tensors of one fine-tuned model, as they are or scaled",
    "s·θ₁",
    "mergekit, https://github.com/arcee-ai/mergekit",
    Fused(scales=True),
    (_SCALE,),
    weighted=False,
    skills=(1, 1),
)
