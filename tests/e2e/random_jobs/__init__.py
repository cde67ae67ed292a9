"""Random requests in every dialect, each with the upstream request that it must become."""
