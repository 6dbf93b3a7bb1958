from django.db import migrations

from kombu_django.adopting import DropIndex, MakeIndex
from kombu_django.indexes import FilledIndex, TurnIndex


class Migration(migrations.Migration):

    dependencies = [
        ('kombu_django', '0003_queue_paused'),
    ]

    operations = [
        MakeIndex(
            model_name='message',
            index=TurnIndex(fields=['queue', 'priority', 'available_at', 'id'], name='kombu_message_turn'),
        ),
        DropIndex(
            model_name='message',
            name='kombu_message_claim',
        ),
        MakeIndex(
            model_name='message',
            index=FilledIndex(fields=['expires_at'], name='kombu_message_expiring'),
        ),
        DropIndex(
            model_name='message',
            name='kombu_message_expiry',
        ),
    ]
