"""What is written: issues come in as files, are frozen into revisions and compiled for sending."""
