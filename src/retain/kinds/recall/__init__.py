"""The kind `recall`: read a sequence, then answer a question about something far back in it."""
