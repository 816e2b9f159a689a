"""Evidence to take away: signed statements of what was made of what, and anchors of the audit log."""
