"""What comes back: stored first, then judged, in one place (promise 6)."""
