"""Code that several dialects share to convert requests to jobs and events to responses."""
