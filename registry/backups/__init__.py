"""A whole store as a folder of plain files: written while others go on writing, and made a store again."""
