"""The project's folder: layout, files, git, DVC, and the identity of what lies in it."""
