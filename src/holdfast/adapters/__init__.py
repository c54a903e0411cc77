"""Where holdfast meets what others have made: asyncio, anyio, unmodified programs."""
