"""The pages: for readers (leaving, reading issues) and, read only, for those who watch sends."""
