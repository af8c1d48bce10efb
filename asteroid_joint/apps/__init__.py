"""What people start: commands, live input, the web page, the made corpus, reports on data."""
