"""Where everything is wired: command line, service, page, settings."""
