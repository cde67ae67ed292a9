"""The dialect of OpenAI's Chat Completions API. It converts requests to jobs, and the events of jobs to completions."""
