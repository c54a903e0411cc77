"""The two protocols, Anthropic Messages and OpenAI Chat Completions: one file each, the same shape."""
