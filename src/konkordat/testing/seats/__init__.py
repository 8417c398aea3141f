"""The small worlds in which the machine of seats is explored to the end, and the bugs planted in it."""
