"""The suite catches transports that lie: one deliberate fault each, and the promises it breaks."""

from __future__ import annotations

import pytest

from kombu.exceptions import KombuError
from kombu.testing.transports import Feature
from kombu.testing.transports.features import feature_of
from kombu.transport.memory import Transport as Memory
from tests.faulty_transports import consuming, counting, declaring, ignoring, operating, publishing
from tests.faulty_transports.base import Faulty
from tests.transport_subjects import OnMemory


class Tried(OnMemory):
    """All the promises, tried quickly on a transport with a fault."""

    brief = 0.05
    patience = 1.5
    lease = 0.2

    def __init__(self, transport: type[Memory]) -> None:
        self.place = f"{transport.__module__}.{transport.__qualname__}"

    def url(self) -> str:
        return f"{self.place}://{self.name}"

    def try_promise(self, promise: str) -> None:
        self.setup_method()
        try:
            getattr(self, promise)()
        finally:
            self.teardown_method()


FAULTS: list[tuple[type[Faulty], str]] = [
    (ignoring.IgnoresPriority, "test_higher_priority_comes_first_and_equals_in_their_order"),
    (ignoring.IgnoresQueueTtl, "test_a_message_that_waited_too_long_in_its_queue_is_not_delivered"),
    (ignoring.IgnoresQueueTtl, "test_the_shorter_of_two_times_to_live_counts"),
    (publishing.IgnoresExpiration, "test_a_message_may_have_a_time_to_live_of_its_own"),
    (publishing.IgnoresExpiration, "test_what_expires_becomes_a_dead_letter_though_nobody_consumes"),
    (publishing.ExpiresAtOnce, "test_a_message_may_have_a_time_to_live_of_its_own"),
    (ignoring.IgnoresQueueExpiry, "test_a_queue_that_nobody_uses_expires"),
    (ignoring.IgnoresMaxLength, "test_a_full_queue_drops_its_oldest_messages"),
    (ignoring.IgnoresMaxLength, "test_what_is_dropped_becomes_a_dead_letter"),
    (ignoring.IgnoresMaxBytes, "test_a_queue_that_is_full_of_bytes_drops_its_oldest_messages"),
    (ignoring.DropsInsteadOfRefusing, "test_a_full_queue_refuses_instead_where_it_is_told_to"),
    (ignoring.IgnoresDeadLetterExchange, "test_a_rejected_message_becomes_a_dead_letter_that_tells_its_story"),
    (ignoring.IgnoresDeadLetterRoutingKey, "test_a_dead_letter_keeps_its_routing_key_unless_its_queue_names_another"),
    (consuming.LosesStories, "test_a_message_that_dies_again_is_counted"),
    (ignoring.IgnoresDeliveryLimit, "test_a_message_that_was_tried_too_often_is_given_up"),
    (ignoring.IgnoresDeliveryLimit, "test_a_message_that_is_given_up_becomes_a_dead_letter"),
    (ignoring.IgnoresSingleActiveConsumer, "test_only_the_first_of_several_consumers_is_served"),
    (ignoring.IgnoresConsumerPriority, "test_a_consumer_of_higher_priority_is_served_first"),
    (ignoring.IgnoresAlternateExchange, "test_what_matches_no_binding_goes_to_the_alternate_exchange"),
    (ignoring.IgnoresExclusive, "test_an_exclusive_queue_is_locked_for_every_other_connection"),
    (ignoring.IgnoresExclusive, "test_an_exclusive_queue_ends_with_its_connection"),
    (ignoring.IgnoresAutoDelete, "test_an_auto_deleted_queue_ends_with_its_last_consumer"),
    (ignoring.IgnoresAutoDelete, "test_an_auto_deleted_exchange_ends_with_its_last_binding"),
    (declaring.TakesAutoDeleteForExclusive, "test_an_auto_deleted_queue_stays_until_it_had_a_consumer"),
    (consuming.IgnoresLease, "test_what_a_killed_process_held_comes_back_marked"),
    (consuming.IgnoresTimeouts, "test_a_drain_that_is_given_no_message_ends_in_time"),
    (consuming.IgnoresTimeouts, "test_a_consumer_may_be_stopped_for_a_while"),
    (consuming.DropsAcknowledgements, "test_an_acknowledged_message_is_gone"),
    (consuming.DropsAcknowledgements, "test_a_consumer_holds_no_more_than_its_prefetch"),
    (consuming.AcknowledgesOneOfSeveral, "test_acknowledging_several_acknowledges_all_before"),
    (consuming.AcknowledgesWhatItGivesOut, "test_what_a_closed_connection_had_not_settled_comes_back_in_its_order"),
    (consuming.AcknowledgesWhatItGivesOut, "test_recovering_puts_everything_back"),
    (consuming.AcknowledgesWhatItGivesOut, "test_what_a_handler_raises_reaches_its_caller_and_the_message_is_not_lost"),
    (consuming.KeepsWhatNeedsNoAcknowledgement, "test_without_acknowledgement_a_message_is_gone_when_it_is_delivered"),
    (consuming.KeepsWhatNeedsNoAcknowledgement, "test_a_message_that_is_taken_without_acknowledgement_is_gone"),
    (consuming.GetsWithoutTaking, "test_a_message_that_is_taken_by_one_is_not_there_for_another"),
    (consuming.DeliversTwice, "test_what_one_consumer_holds_no_other_is_given"),
    (consuming.DeliversTwice, "test_many_consumers_at_once_handle_every_message_once"),
    (consuming.SwallowsWhatHandlersRaise, "test_what_a_handler_raises_reaches_its_caller_and_the_message_is_not_lost"),
    (consuming.CountsFromOne, "test_every_delivery_is_counted_also_one_that_ended_with_its_process"),
    (consuming.NeverMarksRedelivered, "test_a_requeued_message_comes_again_at_its_old_place"),
    (consuming.NeverMarksRedelivered, "test_what_a_killed_process_held_comes_back_marked"),
    (consuming.ForgetsTheWay, "test_a_message_says_which_way_it_came"),
    (consuming.RequeuesToTheEnd, "test_a_requeued_message_comes_again_at_its_old_place"),
    (consuming.RejectsByRequeueing, "test_a_rejected_message_is_dropped_without_a_place_for_it"),
    (consuming.RequeuesByDropping, "test_a_requeued_message_is_no_dead_letter"),
    (consuming.RequeuesByDropping, "test_one_message_may_be_taken_at_a_time"),
    (consuming.RequeuesAtOnce, "test_a_message_may_be_requeued_for_later"),
    (publishing.IgnoresDelay, "test_a_delayed_message_comes_when_its_time_has_come"),
    (publishing.IgnoresDelay, "test_a_delayed_message_is_not_there_before"),
    (publishing.LosesHeaders, "test_headers_of_all_kinds_come_out_as_they_went_in"),
    (publishing.LosesHeaders, "test_a_headers_exchange_wants_all_headers_unless_any_will_do"),
    (publishing.TurnsHeadersIntoText, "test_numbers_in_headers_keep_their_type"),
    (publishing.TurnsHeadersIntoText, "test_a_header_that_cannot_be_sent_is_refused_and_nothing_is_published"),
    (publishing.TurnsHeadersIntoText, "test_a_headers_exchange_tells_values_of_different_types_apart"),
    (publishing.CutsHeaders, "test_ten_thousand_headers_are_kept_or_refused_but_never_cut"),
    (publishing.LosesProperties, "test_properties_come_out_as_they_went_in"),
    (publishing.TakesEverythingForJson, "test_a_message_says_what_its_body_is"),
    (publishing.TakesBodiesForText, "test_a_body_may_have_any_bytes_and_none"),
    (publishing.CutsLargeBodies, "test_a_body_of_a_mebibyte_comes_out_whole"),
    (publishing.IgnoresMandatory, "test_a_mandatory_message_that_no_queue_wants_comes_back"),
    (publishing.ReturnsEverythingUnwanted, "test_without_that_it_is_dropped"),
    (publishing.PublishesBatchesBackwards, "test_messages_of_one_batch_come_in_its_order"),
    (publishing.PublishesIntoNothing, "test_publishing_to_an_exchange_that_does_not_exist_is_refused"),
    (publishing.LatestFirst, "test_messages_come_in_the_order_in_which_they_were_published"),
    (consuming.IgnoresPrefetch, "test_a_consumer_holds_no_more_than_its_prefetch"),
    (consuming.IgnoresPrefetch, "test_the_consumers_of_two_connections_share_a_queue"),
    (consuming.PrefetchesForEachConsumer, "test_the_consumers_of_a_channel_may_share_one_prefetch"),
    (consuming.ServesTheFirstConsumer, "test_the_consumers_of_a_queue_take_turns"),
    (consuming.NeverStops, "test_a_consumer_may_be_stopped_for_a_while"),
    (declaring.LooksByCreating, "test_declaring_passively_only_looks"),
    (declaring.TakesAnyDeclaration, "test_declaring_a_queue_differently_names_the_difference"),
    (declaring.TakesAnyDeclaration, "test_declaring_an_exchange_with_another_type_names_the_difference"),
    (declaring.SaysNothingOfTheDifference, "test_declaring_a_queue_differently_names_the_difference"),
    (declaring.CountsNothing, "test_declaring_says_how_many_messages_are_ready"),
    (declaring.CountsNoConsumers, "test_declaring_counts_the_consumers_of_all_connections"),
    (declaring.GivesTheSameName, "test_the_broker_gives_a_name_to_a_queue_without_one"),
    (declaring.FoldsCase, "test_names_that_look_alike_are_kept_apart"),
    (declaring.DeletesWhatIsInUse, "test_a_queue_is_deleted_if_empty"),
    (declaring.DeletesWhatIsInUse, "test_a_queue_is_deleted_only_if_no_connection_uses_it"),
    (declaring.DeletesWhatIsInUse, "test_an_exchange_is_deleted_if_unused"),
    (declaring.EmptiesInsteadOfDeleting, "test_a_deleted_queue_is_gone_with_its_messages"),
    (declaring.EmptiesInsteadOfDeleting, "test_a_queue_that_is_declared_again_after_it_was_deleted_is_not_bound"),
    (declaring.NeverMissesAQueue, "test_a_queue_that_another_connection_deleted_is_missed_when_it_is_used"),
    (declaring.NeverMissesAQueue, "test_purging_what_does_not_exist_is_refused"),
    (declaring.PurgesNothing, "test_purging_removes_what_is_ready_and_says_how_many"),
    (declaring.BindsToEverything, "test_a_direct_exchange_takes_messages_to_the_queues_bound_by_their_key"),
    (declaring.BindsToEverything, "test_a_star_stands_for_one_word"),
    (declaring.TakesFanoutForDirect, "test_a_fanout_exchange_takes_messages_to_every_queue"),
    (declaring.TakesTopicForDirect, "test_a_hash_stands_for_any_number_of_words"),
    (declaring.BindsNothing, "test_what_another_connection_bound_counts_for_the_next_message"),
    (declaring.BindsAnything, "test_binding_what_does_not_exist_is_refused"),
    (declaring.NeverUnbinds, "test_unbinding_undoes_one_binding_and_leaves_the_others"),
    (declaring.BindsNoExchanges, "test_messages_flow_from_one_exchange_into_another"),
    (consuming.RaisesItsDriversErrors, "test_consuming_from_what_does_not_exist_is_refused"),
    (consuming.RaisesItsDriversErrors, "test_an_error_refuses_one_operation_and_the_connection_goes_on"),
    (declaring.RefusesWithoutNames, "test_higher_priority_comes_first_and_equals_in_their_order"),
    (counting.GuessesNothing, "test_statistics_tell_how_many_messages_are_ready"),
    (counting.GuessesNothing, "test_statistics_count_the_consumers_of_all_connections"),
    (counting.CountsWhatIsHeldAsReady, "test_what_a_consumer_holds_counts_as_leased_until_it_is_settled"),
    (counting.CountsWhatIsDelayedAsReady, "test_a_delayed_message_counts_as_delayed_and_not_as_ready"),
    (counting.TellsAgesInMilliseconds, "test_the_age_of_the_oldest_ready_message_is_in_seconds"),
    (counting.InventsQueues, "test_statistics_leave_out_queues_that_do_not_exist"),
    (
        counting.TellsOfSomeQueues,
        "test_all_queues_are_told_of_where_none_are_named_or_else_it_is_said_that_they_must_be",
    ),
    (operating.ShowsByTaking, "test_what_waits_is_shown_page_by_page_and_not_taken"),
    (operating.ShowsTheFirstPageAgain, "test_what_waits_is_shown_page_by_page_and_not_taken"),
    (operating.StealsWhatIsHeld, "test_chosen_messages_are_discarded_and_those_that_are_held_left_alone"),
    (operating.RequeuesEverything, "test_a_dead_letter_that_is_requeued_is_delivered_where_it_came_from"),
    (operating.PausesInWordsOnly, "test_a_paused_queue_takes_messages_and_gives_none_out_until_it_is_resumed"),
    (operating.PausesAnything, "test_a_queue_that_is_not_there_cannot_be_paused"),
    (consuming.AcknowledgesWhatItGivesOut, "test_a_body_that_is_not_what_it_says_is_raised_with_its_message_and_kept"),
    (publishing.LosesHeaders, "test_a_mixin_puts_what_it_cannot_decode_where_it_is_kept"),
    (publishing.LosesProperties, "test_what_waits_is_moved_here_from_another_transport"),
    (publishing.LosesHeaders, "test_what_waits_is_moved_here_from_another_transport"),
    (consuming.DropsAcknowledgements, "test_what_waits_is_moved_to_another_transport_and_gone_from_here"),
    (declaring.RefusesTheCore, "test_a_headers_exchange_wants_all_headers_unless_any_will_do"),
]


@pytest.mark.parametrize(("fault", "promise"), FAULTS, ids=[f"{f.__name__}-{p}" for f, p in FAULTS])
def test_a_transport_with_a_fault_breaks_its_promise(fault: type[Faulty], promise: str) -> None:
    with pytest.raises((AssertionError, KombuError, LookupError)):
        Tried(fault).try_promise(promise)


@pytest.mark.parametrize("promise", sorted({promise for _, promise in FAULTS}))
def test_the_same_promise_is_kept_by_a_transport_without_faults(promise: str) -> None:
    honest = Tried(Memory)
    honest.patience = 10.0
    honest.try_promise(promise)


def test_for_every_feature_there_is_a_transport_that_lies_about_it() -> None:
    assert {feature_of(promise) for _, promise in FAULTS} == set(Feature)


def test_every_fault_is_tried() -> None:
    modules = (consuming, counting, declaring, ignoring, operating, publishing)
    written = {each for module in modules for each in vars(module).values() if _is_fault(each)}
    assert {fault for fault, _ in FAULTS} == written - {Faulty, ignoring.Ignores, counting.Counting, operating.Operated}


def _is_fault(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Faulty)
