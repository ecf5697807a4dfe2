"""Who a client is: its credential, its token, its address."""
