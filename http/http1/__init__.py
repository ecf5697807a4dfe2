"""HTTP/1.1 as a server speaks it, on httptools: a connection, its requests, its responses."""
