"""Where each of the faults that must be survived is tried: the number of its row, its name, and the tests, which stand in tests/http
beside what they break, or here. A test that is named here and does not exist fails."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

ROWS = {
    1: ("endpoint down, cold cache", "http/test_cache_faults.py::TestGone::test_warm_and_cold",
        "http/test_faults.py::TestLimits::test_no_connection"),
    2: ("endpoint down, warm cache", "http/test_cache_faults.py::TestOutage::test_without_stale",
        "http/test_cache_faults.py::TestOutage::test_stale", "http/test_cache_faults.py::TestOutage::test_stale_ends"),
    3: ("reset mid-body, short Content-Length", "http/test_faults.py::TestFaults::test_fault",
        "http/test_introspection_faults.py::TestFaults::test_fault"),
    4: ("one byte a second", "http/test_introspection_faults.py::TestFaultsByDefault::test_one_byte_a_second_holds_nobody_else",
        "http/test_faults.py::TestFaults::test_a_slow_call_holds_nobody_else"),
    5: ("10 MB answer", "http/test_introspection_faults.py::TestFaultsByDefault::test_flat_memory",
        "http/test_faults.py::TestLimits::test_response_limit"),
    6: ("compressed answer that explodes", "http/test_faults.py::TestFaults::test_fault"),
    7: ("invalid UTF-8, NUL, 10,000-deep JSON", "http/test_faults.py::TestFaults::test_fault",
        "http/test_introspection_faults.py::TestFaults::test_fault"),
    8: ("302 to elsewhere", "http/test_introspection_faults.py::TestRedirect::test_is_not_followed",
        "http/test_faults.py::TestFaults::test_fault"),
    9: ("429 with Retry-After", "http/test_introspection_faults.py::TestNoStorm::test_breaker"),
    10: ("introspection says 401 to our own credentials", "http/test_introspection_faults.py::TestFaults::test_fault"),
    11: ("DNS failure, DNS hang", "faults/test_dns.py::TestNames::test_outage"),
    12: ("TLS: wrong name, unknown CA, expired", "http/test_tls.py::TestTls::test_refused",
         "http/test_introspection_faults.py::TestNetwork::test_untrusted", "http/test_second_tls.py::TestRefused::test_certificate"),
    13: ("SIGKILL of a child inside a cache write", "http/test_cache_flight.py::TestKills::test_answers_stay_right",
         "unit/test_table_crash.c"),
    14: ("SIGKILL of the leader of a single flight", "http/test_cache_flight.py::TestDeath::test_leader_is_killed"),
    15: ("graceful restarts under load", "http/test_cache_faults.py::TestRestartsUnderLoad::test_nobody_notices",
         "http/test_cache_segment.py::TestRestarts::test_segments_do_not_pile_up"),
    16: ("cache full", "http/test_cache_segment.py::TestFull::test_evicts_and_answers"),
    17: ("segment cannot be created", "http/test_cache_segment.py::TestSizes::test_more_than_the_process_may_have",
         "http/test_cache_segment.py::TestSizes::test_more_than_there_is"),
    18: ("log on a full disk", "faults/test_disk.py::TestFullDisk::test_requests_are_served"),
    19: ("clock jumps", "faults/test_clock.py::TestClock::test_expired_is_refused",
         "faults/test_clock.py::TestClock::test_nothing_becomes_immortal", "faults/test_clock.py::TestClock::test_no_proof_counts_twice"),
    20: ("key rotation under load", "http/test_jwt_keys.py::TestUnknownKid::test_flood",
         "http/test_jwt_keys.py::TestRefresh::test_withdrawn"),
    21: ("key set turns to 500, empty, garbage", "http/test_jwt_keys.py::TestTrouble::test_old_keys_serve"),
    22: ("token revoked", "http/test_status.py::TestPurge::test_client_id", "http/test_second.py::TestPurge::test_reaches_every_machine",
         "http/test_second.py::TestPurge::test_a_redis_restored_from_a_snapshot",
         "faults/test_clock.py::TestClock::test_revoked_within_its_ttl"),
    23: ("100,000 random tokens", "http/test_cache_faults.py::TestFlood::test_random_tokens"),
    24: ("500 parallel requests, one new token", "http/test_cache_flight.py::TestMany::test_accepted"),
    25: ("client gone in the middle of a lookup", "http/test_faults.py::TestFaults::test_client_gone_in_the_middle_of_a_call"),
    27: ("one caller's token makes its provider fail", "http/test_one_caller.py::TestCustom::test_nobody_else_notices",
         "http/test_one_caller.py::TestIntrospection::test_nobody_else_notices"),
    34: ("unknown kids all the time, and a rotation", "http/test_jwt_keys.py::TestRotationUnderForgeries::test_no_false_rejection"),
    26: ("Redis loses its number, is emptied, replaced, restored, restarted", "http/test_second_eras.py::TestLosses",
         "http/test_second_eras.py::TestAnotherServer::test_restored_and_nobody_else_knows",
         "http/test_second_eras.py::TestAnotherServer::test_and_back", "http/test_second_eras.py::TestLosses::test_a_call_under_way_is_not_kept",
         "http/test_second_sentinel.py::TestFailover::test_no_purge_is_lost",
         "http/test_second_sentinel.py::TestTwoMasters::test_a_purge_that_the_old_one_took"),
    32: ("Redis sends endless, huge or nested replies, more than one, or none", "http/test_second_hostile.py::TestReplies",
         "http/test_second_tls.py::TestHanging::test_in_the_handshake", "http/test_second_sentinel.py::TestSentinels::test_one_that_lies"),
    33: ("a key server, a DNS server or a Redis hangs", "faults/test_hangs.py::TestPurgesArrive",
         "http/test_jwt_background.py::TestOneHangs::test_others_are_refreshed",
         "http/test_second_eras.py::TestUnreachable::test_news_come_through_an_open_breaker"),
    28: ("40 connections with one token, two providers, a probe that hang", "http/test_limits.py::TestHanging::test_known_callers",
         "http/test_limits.py::TestProbe::test_nobody_joins"),
    30: ("SIGSTOP of a child that calls, fetches keys, holds a Concurrent place", "http/test_limits.py::TestStopped::test_permits",
         "http/test_limits.py::TestStoppedFetch::test_others_fetch", "faults/test_quotas.py::TestProcesses::test_stopped",
         "http/test_replay.py::TestProcesses::test_stopped"),
    36: ("graceful restarts with MaxConcurrent 2, an open breaker, quotas", "http/test_limits.py::TestRestarts::test_limits_hold",
         "http/test_limits.py::TestRestarts::test_open_breaker_holds", "faults/test_quotas.py::TestProcesses::test_restarts",
         "faults/test_quotas.py::TestMemory::test_size_changes"),
    37: ("quota memory full; Redis gone, stopped, restarted, emptied; clock jumps", "faults/test_quotas.py::TestMemory::test_full",
         "faults/test_quotas.py::TestRedis::test_under_load", "http/test_quota_redis.py::test_back", "http/test_quota_sentinel.py::test_under_load",
         "faults/test_clock.py::TestClock::test_quotas"),
    38: ("bodies sent one byte a second, never finished, larger than announced, 256 at the limit", "faults/test_bodies.py::TestSlow::test_byte_by_byte",
         "faults/test_bodies.py::TestSlow::test_never_finished", "faults/test_bodies.py::TestSlow::test_larger_than_announced",
         "faults/test_bodies.py::TestMany::test_memory"),
    39: ("a 1 GB answer, one line of 1 GB, a million events, broken UTF-8, a usage that lies", "faults/test_quotas.py::TestHuge::test_answer",
         "http/test_usage.py::TestHandlers::test_flat_memory"),
}


@pytest.mark.parametrize("row", ROWS)
def test_row_has_its_tests(row):
    for place in ROWS[row][1:]:
        path, *names = place.split("::")
        text = (TESTS / path).read_text()
        for name in names:
            assert re.search(rf"^ *(class|def) {name}\b", text, re.M), place


def test_every_row():
    assert sorted(ROWS) == [*range(1, 29), 30, *range(32, 35), 36, 37, 38, 39]
