"""What looks at the process: findings of one look, and why an error came."""
