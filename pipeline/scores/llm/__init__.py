"""Explanations of features by a language model behind an OpenAI-compatible endpoint, and scores of those explanations."""
