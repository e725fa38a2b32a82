"""What the project exists for, pure: values in, values out; no clock, file, network, environment or logger."""
