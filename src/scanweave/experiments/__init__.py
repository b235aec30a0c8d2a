"""Studies of many fits to one cohort, each with a table and a page."""
