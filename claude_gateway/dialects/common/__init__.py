"""Code that several API dialects share to convert requests to jobs, and the events of jobs to responses."""
