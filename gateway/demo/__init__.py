"""The demo: an unmodified CSMS and charge points on public libraries, and the ones that must be refused."""
