"""The dialect of Google's Gemini API. It converts requests to jobs, and the events of jobs to responses."""
