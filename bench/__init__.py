"""Benchmarks of `make bench`: the gateway compared with the same CLI processes driven directly, in one run."""
