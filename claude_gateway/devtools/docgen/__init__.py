"""Generators for the tables in the documents and for the example settings file. The input is the gateway's code."""
