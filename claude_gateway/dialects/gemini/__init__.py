"""The dialect of Google's Gemini API: it converts requests to jobs, and the events of jobs to responses."""
