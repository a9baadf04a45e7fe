"""Tests of reading what comes back by mail."""
