"""The dialect of OpenAI's Responses API: it converts requests to jobs, and the events of jobs to responses."""
