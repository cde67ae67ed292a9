"""`make bench`: the gateway against the same CLI processes driven directly, in one run, as ratios."""
