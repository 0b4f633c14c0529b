"""What knows nothing of images or models: processes of Python, cores, retries, silence of libraries, versioned JSON."""
