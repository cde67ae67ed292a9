"""Fair queue in which jobs wait for a worker, and estimates of how long they wait."""
