"""Package that generates the tables in the documents from the code of the gateway."""
