"""The dialect of OpenAI's Responses API. It converts requests to jobs, and the events of jobs to responses."""
