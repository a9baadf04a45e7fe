"""The Celery shell: tasks that carry no data and look in the database for what to do."""
