"""State of the application and of each request, which all parts of the web layer share."""
