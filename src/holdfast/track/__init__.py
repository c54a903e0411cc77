"""Who opened what: resources with an owner, a bound, a place where they were opened, and one close."""
