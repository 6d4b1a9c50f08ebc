"""Pages for people, made on the server: what waits for them, a task with all that deciding needs, signing in.

No script runs on them, and no rule lives in them: a page asks the use cases that the API asks, shows what they answer
and hands in what was filled in. Nothing that is shown becomes markup (`html.py`); what a form shows and gets back
unchanged is the same data (`fields.py`, `filling.py`). Open `desk.py` first for the routes.
"""
