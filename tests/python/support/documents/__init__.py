"""Runs what stands in the documents, as a reader would.

`markdown.py` reads a page, `terminal.py` is the shell that its commands are typed into, `samples.py` compares what is
shown with what comes out, `surroundings.py` makes the directory and the network in which a page runs, and `page.py` does
it all in the page's order. `python -m support.documents PAGE…` runs pages by hand.
"""
