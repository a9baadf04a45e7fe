"""Reading what comes back by mail: bounces of any kind, complaints, auto-replies (STANDARDS F4 to F8)."""
