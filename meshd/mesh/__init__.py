"""A revision's resources as one mesh: `load` decodes them, indexes them and runs every check across them."""
