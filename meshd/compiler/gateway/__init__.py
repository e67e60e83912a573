"""What a gateway opens to the world (spec section 4)."""
