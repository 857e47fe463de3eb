"""`retain tune`: search the settings of a problem by trials on its validation part."""
