"""Real servers the tests start."""
