"""What happens on the connections of the service, below the application."""
