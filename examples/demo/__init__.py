"""``make demo``: a real model, really fine-tuned on real text, then stored, merged, audited and measured."""
