"""The HTTP door: a request in, one run or one reading, its outcome out."""
