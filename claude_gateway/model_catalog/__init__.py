"""Lists the models that clients may use, and finds the model for each name, alias or retired model."""
