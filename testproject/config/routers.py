"""Keeps the queue's database to the queue's own tables."""


class QueueRouter:
    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool | None:
        if db == "queue":
            return app_label == "kombu_django"
        return None
