"""Where materials come from: files, folders and databases, read page by page and resumable."""
