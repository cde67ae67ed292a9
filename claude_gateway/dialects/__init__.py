"""Packages for the API dialects. A dialect is the request and response format of one provider's API.

Each dialect has its own package. The package `common` contains code that several dialects share. No dialect imports
another dialect.

The package of a dialect contains the module `schema` (pydantic models for the request body), the module `parse`
(converts a request to a job) and the module `encode` (converts the events of a job to a response). These packages do no
I/O. They use neither a web framework nor a clock.
"""
