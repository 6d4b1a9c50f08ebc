"""What `make run` shows: the renewal job over the practice company, then the same job through a kill.

`__main__.py` tells the story, `stage.py` starts and stops the two programs, `show.py` draws on the terminal.
It uses the command line and the HTTP API only, like anybody else.
"""
