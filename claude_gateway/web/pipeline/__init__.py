"""Steps from a received request to its response. They are the same for every dialect."""
