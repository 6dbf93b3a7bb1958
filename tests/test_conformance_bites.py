"""The conformance suite catches stores that lie: one deliberate fault each, and the promise it breaks."""

from __future__ import annotations

from uuid import uuid4

import pytest

from kombu.testing import (
    AttendanceConformance,
    BrowseConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
    StoreConformance,
    TopologyConformance,
)
from kombu.transport.memory import MemoryStore
from tests import faulty_limits as limits
from tests import faulty_stores as stores
from tests import faulty_topologies as topologies
from tests import faulty_users as users


class Everything(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    """All the promises, tried quickly on a store with a fault."""

    brief = 0.05
    patience = 0.5

    def __init__(self, faulty: type[MemoryStore]) -> None:
        self.faulty = faulty
        self.name = uuid4().hex

    def open_store(self) -> MemoryStore:
        return self.faulty(self.name)

    def try_promise(self, promise: str) -> None:
        self.setup_method()
        try:
            getattr(self, promise)()
        finally:
            self.teardown_method()
            MemoryStore.reset(self.name)


FAULTS: list[tuple[type[MemoryStore], str]] = [
    (stores.WritesHeadsInAscii, "test_a_message_comes_out_as_it_went_in"),
    (stores.WritesHeadsInAscii, "test_a_head_of_100_kilobytes_comes_out_whole"),
    (stores.ServesOneQueue, "test_a_claim_serves_all_its_queues_though_one_is_long"),
    (stores.CreatesMissingQueues, "test_putting_into_a_missing_queue_says_that_the_topology_moved"),
    (stores.KeepsCopiesInStep, "test_copies_in_two_queues_are_settled_apart"),
    (stores.PurgesTheReadyOnly, "test_purging_removes_what_is_ready_or_delayed"),
    (stores.DeclaresAnew, "test_declaring_a_queue_again_keeps_its_messages"),
    (stores.DeclaresAnew, "test_a_queue_declared_again_stays_as_it_was"),
    (topologies.KeepsTheTopologyItReadFirst, "test_what_one_handle_declares_another_sees"),
    (topologies.BindsTwice, "test_binding_twice_binds_once"),
    (topologies.ForgetsQueueArguments, "test_queues_come_back_as_they_were_declared"),
    (stores.BrowsesFromTheStart, "test_browsing_goes_page_by_page"),
    (stores.BrowsesTheLatestFirst, "test_browsing_shows_messages_in_the_order_they_were_stored"),
    (stores.IgnoresTokens, "test_a_lost_lease_settles_nothing"),
    (stores.IgnoresTokens, "test_a_lost_lease_extends_nothing"),
    (stores.ForgetsTheCount, "test_every_claim_raises_the_delivery_count"),
    (stores.RemovesBeforeItStores, "test_a_move_into_a_missing_queue_raises_and_keeps_the_message"),
    (stores.StoresBeforeItLooks, "test_a_move_with_a_lost_lease_stores_nothing"),
    (stores.StoresBeforeItLooks, "test_of_two_that_move_one_message_exactly_one_does"),
    (stores.ClaimsUnordered, "test_a_claimed_batch_is_in_the_order_its_messages_were_put"),
    (stores.ClaimsTooMany, "test_a_claim_takes_no_more_of_each_queue_than_was_asked_for"),
    (stores.ClaimsWhatItSawBefore, "test_a_message_is_claimed_by_exactly_one_of_two_handles"),
    (stores.ClaimsWhatItSawBefore, "test_many_consumers_see_every_message_exactly_once"),
    (stores.NeverLetsGo, "test_a_lease_that_ran_out_brings_the_message_back_with_a_new_token"),
    (stores.IgnoresPriority, "test_higher_priority_is_claimed_first_and_equals_in_their_order"),
    (stores.IgnoresDelay, "test_a_delay_is_over_before_a_message_is_claimed"),
    (stores.IgnoresDelay, "test_a_long_delay_keeps_a_message_away_and_counts_as_delayed"),
    (stores.IgnoresTimeToLive, "test_a_message_whose_time_is_over_is_handed_out_as_expired"),
    (stores.IgnoresVersion, "test_a_put_routed_before_a_queue_was_bound_stores_nothing"),
    (stores.StoresHalfABatch, "test_a_batch_with_a_missing_queue_stores_nothing"),
    (stores.TakesBodiesForText, "test_bodies_are_bytes_of_any_value"),
    (stores.ExtendsInWordsOnly, "test_an_extended_lease_outlives_its_first_end"),
    (stores.ReleasesToTheEnd, "test_a_released_message_stands_where_it_stood"),
    (stores.AlwaysCounts, "test_a_message_released_uncounted_has_not_been_tried"),
    (stores.AnswersOutOfOrder, "test_a_mixed_batch_is_answered_in_the_order_given"),
    (stores.SweepsTheLiving, "test_a_sweep_finds_expired_messages_of_all_queues_and_no_others"),
    (stores.PurgesTheLeased, "test_purging_leaves_leased_messages_to_be_settled"),
    (stores.KeepsTheDeleted, "test_a_queue_declared_again_after_it_was_deleted_is_empty"),
    (stores.KeepsTheDeleted, "test_a_lease_of_a_deleted_queue_settles_nothing_in_its_successor"),
    (stores.CountsDelayedAsReady, "test_counts_tell_ready_delayed_and_leased_apart"),
    (stores.CountsTheUnknown, "test_counts_leave_out_unknown_queues"),
    (stores.FoldsCase, "test_queues_whose_names_look_alike_are_kept_apart"),
    (stores.SleepsThroughPuts, "test_waiting_ends_when_another_handle_puts"),
    (stores.WaitsForever, "test_waiting_on_empty_queues_ends_with_its_timeout"),
    (stores.ForgetsOnClose, "test_messages_stay_when_a_handle_is_closed"),
    (topologies.KeepsOneVersion, "test_every_change_gives_a_version_that_never_was_before"),
    (topologies.CountsEveryCallAsAChange, "test_what_changes_nothing_keeps_the_version"),
    (topologies.BindsByKeyOnly, "test_bindings_that_differ_in_anything_are_all_kept"),
    (topologies.UnbindsAllOfAQueue, "test_unbinding_removes_only_its_own_binding"),
    (
        topologies.TakesExchangesForQueues,
        "test_an_exchange_bound_to_an_exchange_is_not_bound_to_the_queue_of_that_name",
    ),
    (topologies.DeletesTheUsed, "test_an_exchange_that_is_used_is_left_if_it_is_to_be_unused"),
    (topologies.NeverSaysWhetherItDeleted, "test_deleting_an_exchange_tells_whether_it_is_gone_by_that"),
    (topologies.DropsArguments, "test_exchanges_come_back_as_they_were_declared"),
    (topologies.LeavesBindingsBehind, "test_deleting_a_queue_removes_the_bindings_to_it"),
    (stores.BrowsesByClaiming, "test_browsing_takes_nothing"),
    (stores.BrowsesWithGoodLeases, "test_what_is_browsed_cannot_be_settled"),
    (stores.ChoosesEverything, "test_only_the_chosen_messages_are_claimed"),
    (stores.StealsTheChosen, "test_a_message_with_a_live_lease_cannot_be_chosen"),
    (users.TellsUsersByName, "test_users_are_told_in_the_order_they_came"),
    (users.GivesANewPlaceEachTime, "test_who_says_so_again_keeps_the_place"),
    (users.KeepsThePlaceOfTheLate, "test_a_user_who_was_gone_comes_back_as_the_last"),
    (users.BelievesTheFirstWordOnly, "test_a_user_outlives_the_first_end_when_it_is_renewed"),
    (users.LetsNobodyDie, "test_a_user_who_is_not_renewed_is_gone"),
    (users.LetsNobodyDie, "test_an_auto_deleted_queue_ends_when_its_last_consumer_is_not_renewed"),
    (users.LetsNobodyDie, "test_an_exclusive_queue_ends_when_its_owner_is_not_renewed"),
    (users.LetsNobodyGo, "test_a_user_who_leaves_is_gone_at_once"),
    (users.LetsNobodyGo, "test_an_auto_deleted_queue_ends_with_its_last_consumer"),
    (users.LetsNobodyGo, "test_an_exclusive_queue_ends_with_its_owner"),
    (users.LetsAllGo, "test_leaving_what_was_never_entered_changes_nothing"),
    (users.TakesAMomentForAMinute, "test_a_moments_use_leaves_nobody_behind"),
    (users.TakesAMomentForNothing, "test_a_moments_use_lets_a_queue_live_its_time_once_more"),
    (users.WelcomesToNowhere, "test_a_queue_that_is_not_there_cannot_be_used"),
    (users.WelcomesToNowhere, "test_nobody_comes_to_a_queue_whose_life_is_over"),
    (users.KeepsUsersOfTheDeleted, "test_users_go_with_their_queue"),
    (users.KnowsItsOwnUsersOnly, "test_what_one_handle_says_of_its_users_another_sees"),
    (users.PutsItsOwnUsersFirst, "test_of_many_who_come_at_once_all_have_a_place_that_everybody_sees"),
    (users.MixesQueues, "test_users_of_several_queues_are_told_apart"),
    (users.WritesNamesInAscii, "test_users_with_hostile_names_are_only_names"),
    (users.CountsUsersAsTopology, "test_attending_does_not_change_the_version_of_the_topology"),
    (users.TakesOwnersForConsumers, "test_an_auto_deleted_queue_ends_with_its_last_consumer_though_its_owner_stays"),
    (users.EndsWithAnybody, "test_an_auto_deleted_queue_stays_for_its_consumer_when_another_user_leaves"),
    (users.EndsWithAnybody, "test_an_auto_deleted_queue_ends_with_its_last_consumer"),
    (users.EndsTheUnused, "test_a_queue_that_was_declared_to_stay_does"),
    (users.EndsTheUnused, "test_an_auto_deleted_queue_stays_until_it_had_a_consumer"),
    (users.EndsTheUnused, "test_an_exclusive_queue_stays_until_its_owner_comes"),
    (users.EndsTheUnused, "test_a_queue_lives_its_time_after_its_last_user"),
    (users.EndsTheUsed, "test_a_queue_does_not_expire_while_it_is_used"),
    (users.EndsNothing, "test_a_queue_that_nobody_ever_uses_expires"),
    (users.NeverShortensALife, "test_a_queue_expires_some_time_after_its_last_user"),
    (users.NeverShortensALife, "test_an_exclusive_queue_ends_with_its_owner"),
    (users.EndsForgettingBindings, "test_nothing_of_a_queue_stays_when_it_ends"),
    (users.EmptiesInsteadOfEnding, "test_nothing_of_a_queue_stays_when_it_ends"),
    (users.EndsAllBindings, "test_ending_leaves_other_queues_and_their_bindings"),
    (users.EndsQuietly, "test_whoever_routed_before_a_queue_ended_routes_again"),
    (users.LooksByChanging, "test_looking_for_ended_queues_changes_nothing_where_none_has_ended"),
    (users.TellsWhatItSawBefore, "test_each_ended_queue_is_told_to_one_caller_only"),
    (
        users.ComesThoughItIsOver,
        "test_who_comes_while_the_last_consumer_leaves_has_the_queue_or_is_told_that_it_is_gone",
    ),
    (limits.DropsTooSoon, "test_a_queue_that_is_just_full_has_no_surplus"),
    (limits.DropsTheNewest, "test_the_surplus_is_what_stands_at_the_head"),
    (stores.IgnoresPriority, "test_the_head_is_where_the_highest_priority_is"),
    (limits.ShowsTheSurplus, "test_the_surplus_is_claimed_as_usual"),
    (limits.KeepsTheSurplus, "test_the_surplus_comes_back_when_its_lease_runs_out"),
    (limits.CountsAllItHas, "test_only_what_is_ready_counts"),
    (limits.TakesNothingForNoLimit, "test_a_queue_may_be_limited_to_nothing"),
    (limits.IgnoresBytes, "test_a_queue_may_be_limited_in_bytes"),
    (limits.IgnoresBytes, "test_of_two_limits_the_tighter_one_counts"),
    (limits.IgnoresTheLength, "test_of_two_limits_the_tighter_one_counts"),
    (limits.IgnoresBytes, "test_a_queue_that_is_full_of_bytes_refuses"),
    (limits.LimitsEverything, "test_queues_without_limits_have_no_surplus"),
    (limits.LimitsEverything, "test_a_queue_refuses_nothing_without_a_limit"),
    (limits.LooksAtEveryQueue, "test_only_the_queues_that_are_named_are_looked_at"),
    (limits.CountsFirstAndClaimsLater, "test_of_several_callers_each_message_is_for_one_only"),
    (limits.CountsAllItHasLater, "test_what_is_claimed_meanwhile_is_no_surplus"),
    (limits.NeverRefuses, "test_a_full_queue_that_refuses_takes_nothing_more"),
    (limits.RefusesSilently, "test_a_full_queue_that_refuses_takes_nothing_more"),
    (limits.DropsToMakeRoom, "test_a_full_queue_that_refuses_takes_nothing_more"),
    (limits.StoresWhatFits, "test_a_batch_that_does_not_fit_is_refused_as_a_whole"),
    (limits.RefusesForWhatIsHeld, "test_a_queue_takes_messages_again_when_some_are_claimed"),
    (limits.RefusesWhatItDeclaredItself, "test_another_handle_is_refused_as_well"),
    (stores.RemovesBeforeItStores, "test_a_move_into_a_full_queue_raises_and_keeps_the_message"),
    (limits.LooksForRoomAndPutsLater, "test_many_who_put_at_once_do_not_overfill_a_queue"),
]


@pytest.mark.parametrize(("faulty", "promise"), FAULTS, ids=[f"{f.__name__}-{p}" for f, p in FAULTS])
def test_a_store_with_a_fault_breaks_its_promise(faulty: type[MemoryStore], promise: str) -> None:
    with pytest.raises(AssertionError):
        Everything(faulty).try_promise(promise)


@pytest.mark.parametrize("promise", sorted({promise for _, promise in FAULTS}))
def test_the_same_promise_is_kept_by_a_store_without_faults(promise: str) -> None:
    honest = Everything(MemoryStore)
    honest.patience = 10.0
    honest.try_promise(promise)
