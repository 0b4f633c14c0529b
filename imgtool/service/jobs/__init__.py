"""Background jobs: many images, a journal that survives, results while it runs."""
