"""Live operations: the control WebSocket, and what both of its ends share.

`protocol` says what is sent, `controlled` what the server controls, `server` and `session` let
operators in, `client` is the commands' end, `place` knows where the two meet, `figures` makes
rates of counters, `views` and `top_view` make text of answers.

`worker` is what is controlled in a service of one process, `replica` in a host: that asks the
actor ``control`` of each worker (`operator`), and hears from it through its own (`desk`);
`orders` says what crosses between them, `merging` makes one tree of theirs, `paths` and `nearest`
know how actors are called.
"""
