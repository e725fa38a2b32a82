"""What every adapter that calls over a network needs: a budget of lost time, retries, deadlines, a rate limit."""
