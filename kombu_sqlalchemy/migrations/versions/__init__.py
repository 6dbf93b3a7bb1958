"""One file a revision, with the number and name of the same one of ``kombu_django``."""
