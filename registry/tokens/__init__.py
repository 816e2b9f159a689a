"""Whose tokens, tokenizer, chat template and generation config the result of a merge has."""
