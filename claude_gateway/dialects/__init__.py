"""The API dialects that clients speak. Each dialect has its own package, and `common` holds the code that they share.

The package of a dialect contains `schema` (the body of a request), `parse` (converts a request to a job) and `encode`
(converts the events of a job to a response). These packages do no I/O: they use no web framework and no clock. No
dialect imports another dialect.
"""
