"""What edge and control say to each other over their Unix socket: messages and framing, no sockets here."""
