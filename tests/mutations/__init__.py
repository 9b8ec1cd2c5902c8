"""What if a check of the translator were not there?  ``make mutate`` takes them out one by one and runs the tests that should notice."""
