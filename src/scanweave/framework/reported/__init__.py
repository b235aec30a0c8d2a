"""Systems that learn from images and their reports: words, prompts, and what is found by them."""
