"""Data of the application and of each request. All parts of the web layer share this data."""
