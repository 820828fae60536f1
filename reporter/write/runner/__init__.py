"""`anereport runner`: an app that measures on iPhone and iPad."""
