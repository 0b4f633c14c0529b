#!/bin/sh
# What py-spy says where ptrace is forbidden.
echo "Error: Permission Denied: Try running again with elevated permissions by going 'sudo env \"PATH=\$PATH\" !!'" >&2
exit 1
