"""Live operations: the control WebSocket, and what both of its ends share.

`protocol` says what is sent, `controlled` what the server controls (a process now, a host with
many later), `server` and `session` let operators in, `client` is the commands' end, `place`
knows where the two meet, `figures` makes rates of counters, `views` makes text of answers.
"""
