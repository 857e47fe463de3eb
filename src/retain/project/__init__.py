"""The project's folder: layout, files, git, DVC, and md5 of its content."""
