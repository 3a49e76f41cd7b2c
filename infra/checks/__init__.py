"""Checks of what the project is made of."""
