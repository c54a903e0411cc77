"""What looks at the process while it runs, and at what the machine allows."""
