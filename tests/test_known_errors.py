"""The errors that decided numbers of published systems: for each, the tests that catch it here.

A test says in itself which error it catches, by number and by words; this table says where. An error that
nothing here can make has the reason in place of tests: whoever builds what could make it adds the test.
"""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest


class Known(NamedTuple):
    """An error in a few words, and its tests, or why there cannot be any yet."""

    phrase: str
    tests: tuple[str, ...] = ()
    cannot_occur: str = ""


KNOWN = {
    1: Known("LoRA never trained", ("training/test_trainer.py::test_exactly_what_is_named_changes",)),
    2: Known(
        "adapters leak from one strategy into the next",
        (
            "decoding/models/test_adapters.py::test_it_says_what_the_adapted_model_says",
            "decoding/trained/test_attaching.py::test_afterwards_it_is_what_it_was",
            "decoding/test_exactness.py::test_the_model_is_left_as_it_was",
        ),
    ),
    3: Known(
        "tied embeddings change with the head",
        (
            "training/test_trainer.py::test_exactly_what_is_named_changes",
            "training/test_trainer.py::test_a_head_that_was_shared_leaves_the_embeddings_alone",
        ),
    ),
    4: Known(
        "evaluation on the training split",
        (
            "training/test_training.py::test_training_never_sees_an_evaluation_group",
            "training/test_training.py::test_held_out_names_and_wordings_stand_in_no_training_text",
        ),
    ),
    5: Known(
        "two definitions of exact match in one report",
        (
            "evaluation/test_metrics.py::test_strict_and_tolerant_parser_stand_side_by_side",
            "evaluation/test_metrics.py::test_every_golden_row_gets_the_official_verdict",
        ),
    ),
    6: Known(
        "gradients not averaged over processes",
        ("training/test_processes.py::test_two_processes_learn_what_one_does",),
    ),
    7: Known(
        "positions differ between training and inference",
        (
            "training/test_training.py::test_packed_branches_give_the_logits_of_separate_sequences",
            "decoding/models/test_padding.py"
            "::test_the_types_of_the_tests_are_answered_rightly_in_one_batch",
        ),
    ),
    8: Known(
        "targets shifted into another branch's tokens",
        ("training/test_training.py::test_each_token_is_predicted_from_its_own_branch",),
    ),
    9: Known(
        "loss normalised twice",
        ("training/test_training.py::test_packed_branches_give_the_logits_of_separate_sequences",),
    ),
    10: Known(
        "parameters that cannot move",
        ("training/test_training.py::test_training_changes_every_weight",),
    ),
    11: Known(
        "all answers share one answer's budget",
        ("decoding/test_decoders.py::test_every_answer_has_its_own_budget",),
    ),
    12: Known(
        "chunks that straddle contexts",
        ("data/test_grouping.py::test_no_group_straddles_passages",),
    ),
    13: Known(
        "an empty answer counts as right",
        ("evaluation/test_metrics.py::test_an_empty_answer_is_wrong_under_every_metric",),
    ),
    14: Known(
        "the first letter anywhere is a choice",
        (
            "prompts/reading/test_reading.py::test_a_letter_counts_only_where_it_stands_for_an_option",
            "data/test_letters.py::test_letters_that_are_not",
        ),
    ),
    15: Known(
        "keys of several letters scored on one",
        ("evaluation/test_metrics.py::test_letters_are_compared_as_letters",),
    ),
    16: Known(
        "an unreadable verdict becomes a middling score",
        ("evaluation/test_judge.py::test_replies_that_do_not_are_missing_never_a_three",),
    ),
    17: Known(
        "BLEU on characters for every language",
        ("evaluation/test_metrics.py::test_overlap_of_english_and_chinese",),
    ),
    18: Known(
        "dependency edges reversed, thresholds that filter nothing",
        (
            "evaluation/test_metrics.py::test_edges_have_a_direction",
            "dependencies/test_generators.py::test_shares_of_attention_and_their_direction",
            "dependencies/test_generators.py::test_no_edges_is_an_answer_and_ranks_are_confidences",
        ),
    ),
    19: Known(
        "the dependency stage left out of the cost",
        ("strategies/test_own.py::test_what_finding_dependencies_cost_is_in_the_rows",),
    ),
    20: Known(
        "prompt tokens counted differently per strategy",
        (
            "decoding/test_ledger.py::test_the_ledger_of_a_batch_group_is_that_of_a_trie",
            "decoding/test_ledger.py::test_the_ledger_of_a_sequential_group_is_that_of_a_trie",
            "decoding/test_ledger.py::test_hf_pads_the_prompts_of_a_group_to_the_longest",
        ),
    ),
    21: Known(
        "an ideal latency that sums instead of taking the maximum",
        ("test_trace.py::test_ideal_latency",),
    ),
    22: Known(
        "serial API calls reported as parallel",
        ("serving/test_served.py::test_requests_are_under_way_together_within_1_3_of_the_ideal",),
    ),
    23: Known(
        "timings with set-up inside and no warm-up",
        ("cells/test_runner.py::test_a_warm_up_comes_first_and_is_in_no_record",),
    ),
    24: Known(
        "the first fused token read from one paraphrase",
        (
            "decoding/test_verbs.py::test_a_lockstep_hook_moves_its_branches_together",
            "decoding/test_scheduler.py::test_a_set_begins_together_and_goes_on_without_who_has_ended",
        ),
    ),
    25: Known(
        "isolation leaks",
        (
            "decoding/test_verbs.py::test_any_tree_equals_plain_passes",
            "decoding/test_exactness.py::test_branches_equal_separate_prompts",
        ),
    ),
    26: Known(
        "silent fallback to plain attention",
        ("decoding/test_forward.py::test_a_model_that_attends_by_itself_is_found_out",),
    ),
    27: Known(
        "the last prompt token fed twice",
        (
            "decoding/test_ledger.py::test_of_any_tree_every_row_is_booked_once",
            "decoding/test_exactness.py::test_logits_of_one_branch_equal_plain_decoding",
        ),
    ),
    28: Known(
        "a mask that forgets older tokens of other branches",
        (
            "decoding/held/test_tree.py::test_the_mask_is_the_rule",
            "decoding/held/test_tree.py::test_a_join_sees_all_its_parents",
        ),
    ),
    29: Known(
        "sampling on one side, greedy on the other",
        ("decoding/test_decoders.py::test_the_models_own_generation_config_changes_nothing",),
    ),
    30: Known(
        "result files that are copies of another task's",
        ("cells/test_generate.py::test_files_of_something_else_are_named",),
    ),
    31: Known(
        "failed items kept with zero length",
        ("cells/test_runner.py::test_an_ask_that_failed_is_never_kept_as_one_of_no_length",),
    ),
}


@cache
def functions_of(path: Path) -> dict[str, str]:
    """The source of each function of a test file that pytest collects, by its name."""
    source = path.read_text(encoding="utf-8")
    return {
        node.name: ast.get_source_segment(source, node) or ""
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_the_table_is_whole() -> None:
    assert list(KNOWN) == list(range(1, 32))
    for number, known in KNOWN.items():
        assert bool(known.tests) != bool(known.cannot_occur), f"error {number}: tests or a reason"


@pytest.mark.parametrize("number", [number for number, known in KNOWN.items() if known.tests])
def test_each_is_caught_by_tests_that_name_it(number: int, root: Path) -> None:
    known = KNOWN[number]
    named = re.compile(rf"# Errors? .*?\b{number}: {re.escape(known.phrase)}", re.IGNORECASE)
    for test in known.tests:
        file, _, name = test.partition("::")
        functions = functions_of(root / "tests" / file)
        assert name in functions, f"error {number} ({known.phrase}): {file} has no {name}"
        assert named.search(functions[name]), f"{test} does not say `# Error {number}: {known.phrase}`"
