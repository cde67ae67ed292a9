"""Load with faults on command: misbehaving workers, a faulty upstream and clients that disconnect.

The tests run it for seconds, `make soak` for minutes.
"""
