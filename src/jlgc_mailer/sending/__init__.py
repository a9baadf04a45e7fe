"""A Send becomes Batches of Deliveries; workers claim a batch and record what became of each delivery."""
