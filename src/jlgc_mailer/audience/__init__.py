"""Who reads: joining, leaving, importing, and whom not to write to."""
