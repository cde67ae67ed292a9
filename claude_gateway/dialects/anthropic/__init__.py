"""The dialect of Anthropic's Messages API. It converts requests to jobs, and the events of jobs to responses."""
