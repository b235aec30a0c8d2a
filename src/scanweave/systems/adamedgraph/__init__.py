"""AdaMedGraph: boosting over graphs of patients, each graph from one column of a table."""
