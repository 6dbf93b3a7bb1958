"""The same queue tables through SQLAlchemy."""
