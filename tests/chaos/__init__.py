"""`make chaos`: processes and connections are killed while a newsletter goes out, and then everybody is counted."""
