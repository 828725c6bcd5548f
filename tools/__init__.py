"""Secondary commands, run as `python -m tools.<name>`: they import the modules beside this folder, and nothing imports them."""
