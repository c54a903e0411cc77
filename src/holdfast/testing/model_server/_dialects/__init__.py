"""The two protocols, Anthropic Messages and OpenAI Chat Completions: the same shape for both."""
