"""Fuzzing: inputs that nobody thought of, found by watching which code they reach."""
