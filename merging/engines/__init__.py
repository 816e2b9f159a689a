"""How the arithmetic is computed: in words, plainly, compiled, with torch."""
