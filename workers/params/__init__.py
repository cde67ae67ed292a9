"""Conversion of parameters, schemas, names and call arguments to the forms that the CLI and the API accept."""
