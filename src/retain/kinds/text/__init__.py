"""The kind `text`: the next letter, or the next word."""
