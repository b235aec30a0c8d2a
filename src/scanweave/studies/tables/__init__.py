"""Clinical tables as cohorts: read, understood column by column, checked for what spoils a study."""
