"""Faults made by hand, each of which the tests named beside it must notice.

    make faults                    all: about ten minutes
    make faults FAULTS="holm p"    those whose names hold one of these words

A tool changes an operator or a number; these are what people get wrong: a cost left out of a sum, a
minimum for a median, the wrong one of two rules, a correction forgotten. Every old text has to stand in
its file exactly once (`test_faults.py` sees to it), so that the list cannot rot.
"""

import argparse
import sys
from typing import NamedTuple

from tests.mutation.mutants import LIBRARY, noticed, preload


class Fault(NamedTuple):
    """What it is called, its file below lib/branchwise, the text and the wrong one, the tests (one of
    `TESTS` by the file, where none are named).
    """

    name: str
    file: str
    old: str
    new: str
    tests: str = ""


TESTS = {
    "evaluation/score.py": "evaluation/test_score.py",
    "evaluation/statistics.py": "evaluation/test_statistics.py",
    "evaluation/significance.py": "evaluation/test_significance.py",
    "cells/runner.py": "cells/test_record.py",
    "cells/clock.py": "cells/test_record.py",
    "cells/desk.py": "cells/test_desk.py cells/test_record.py",
    "cells/flight.py": "cells/test_asking.py",
    "cells/cell.py": "cells/test_asking.py",
    "cells/making.py": "cells/test_asking.py",
    "cells/totals.py": "cells/test_asking.py",
    "cells/sharding.py": "cells/test_sharding.py",
    "cells/timing.py": "cells/test_turns.py",
    "cells/depending.py": "cells/test_depending.py",
    "cells/found.py": "cells/test_asking.py",
    "cells/waits.py": "cells/test_desk.py cells/test_record.py",
    "trace.py": "cells/test_record.py test_trace.py",
    "times.py": "cells/test_turns.py",
    "config/hashing.py": "config/test_hashing.py",
    "config/identity.py": "config/test_hashing.py",
    "config/parts.py": "config/test_hashing.py",
    "config/timing.py": "config/test_hashing.py",
    "config/styles.py": "config/test_style_entries.py",
    "decoding/models/chat.py": "decoding/models/test_plain.py",
    "decoding/held/tree.py": "decoding/held/test_shared.py",
    "prompts/rendering.py": "prompts/test_golden.py",
    "strategies/all_in_one.py": "prompts/test_golden.py",
    "dependencies/selection.py": "dependencies/test_selection.py",
    "dependencies/controls.py": "dependencies/test_controls.py",
    "reporting/comparing.py": "reporting/test_numbers.py",
    "reporting/frames.py": "reporting/test_numbers.py",
    "reporting/tables.py": "reporting/test_numbers.py",
    "reporting/numbers.py": "reporting/test_numbers.py",
    "decoding/reference.py": "decoding/test_ledger.py",
    "decoding/mixers/modules.py": "decoding/mixers/test_mixing.py",
    "decoding/trained/attaching.py": "decoding/trained/test_attaching.py",
    "training/trainer.py": "training/test_trainer.py",
}

FAULTS = (
    # ----- scoring -----
    Fault(
        "dependency tokens left out of a group's totals",
        "evaluation/score.py",
        "Tokens.total([run.tokens, *(one.tokens for one in run.before)])",
        "run.tokens",
    ),
    Fault(
        "dependency passes left out of a group's passes",
        "evaluation/score.py",
        "run.forward_passes + sum(one.forward_passes for one in run.before)",
        "run.forward_passes",
    ),
    Fault(
        "seconds of the dependency stage lost",
        "evaluation/score.py",
        "dependency_s=found.wall_s if found else 0.0",
        "dependency_s=0.0",
    ),
    Fault(
        "an empty answer may be right",
        "evaluation/score.py",
        "primary, is_empty = PRIMARY[scorer], not row.answer.strip()",
        "primary, is_empty = PRIMARY[scorer], False",
    ),
    Fault(
        "strict EM is EM",
        "evaluation/score.py",
        'em_strict=core["em"] if row.well_formed else 0.0',
        'em_strict=core["em"]',
    ),
    Fault(
        "a mark alone passes for no answer",
        "evaluation/score.py",
        "is_empty = not tokens(row.answer, language)",
        "is_empty = is_empty and True",
    ),
    Fault(
        "a missing verdict is the worst grade",
        "evaluation/score.py",
        "(verdict.grades or {}).get(name) for name",
        "(verdict.grades or {}).get(name, 1) for name",
    ),
    Fault(
        "a metric that leaves a question out counts it as wrong",
        "evaluation/score.py",
        "(float(value), group) for value, group in pairs if value is not None",
        "(float(value or 0), group) for value, group in pairs",
    ),
    Fault(
        "throughput of a resumed run",
        "evaluation/score.py",
        "    if run.num_resumed:\n        return None\n",
        "",
    ),
    Fault(
        "intervals of shares as of amounts",
        "evaluation/score.py",
        "mean_interval(numbers, groups, bounds=bounds_of(name))",
        "mean_interval(numbers, groups)",
    ),
    # ----- asking -----
    Fault(
        "no warm-up",
        "cells/flight.py",
        "    _warm_up(runner, waiting)\n",
        "",
    ),
    Fault(
        "a warm-up of the whole budget",
        "cells/runner.py",
        "replace(self, max_new_tokens=1).once(group)",
        "replace(self).once(group)",
    ),
    Fault(
        "the clock stops before the device has finished",
        "cells/runner.py",
        "            self._synchronize()\n            wall_s, cpu_s",
        "            wall_s, cpu_s",
    ),
    Fault("the collector stays on", "cells/clock.py", "    gc.disable()\n", ""),
    Fault(
        "dependencies are in no answer's share",
        "cells/runner.py",
        "Tokens.total(one.tokens for one in before) if before else None",
        "None",
    ),
    Fault(
        "a cut answer may be well formed",
        "cells/runner.py",
        'all(ask.stop == "stop" for ask in ends)',
        "True",
    ),
    Fault(
        "an answer begins with its last ask",
        "cells/runner.py",
        "start_s=min((ask.start_s",
        "start_s=max((ask.start_s",
    ),
    Fault(
        "one budget for all answers of a prompt",
        "cells/desk.py",
        "budget = self.max_new_tokens * max(1, len(asked))",
        "budget = self.max_new_tokens",
    ),
    Fault(
        "shared passes count for every ask",
        "cells/desk.py",
        "taken = {(ask.by, number) for ask in self.asks for number in ask.passes}",
        "taken = [number for ask in self.asks for number in ask.passes]",
    ),
    Fault(
        "a prompt that fills the context is refused",
        "cells/desk.py",
        "prompt_tokens + budget > limit",
        "prompt_tokens + budget >= limit",
    ),
    Fault(
        "a cell's passes are without its dependencies'",
        "cells/totals.py",
        "sum(one.forward_passes for one in (*runs, *before))",
        "sum(one.forward_passes for one in runs)",
    ),
    Fault(
        "a cell's totals are without its dependencies'",
        "cells/totals.py",
        "        totals[stage] = Tokens.total(one.tokens for one in before if one.stage == stage)\n",
        "        pass\n",
    ),
    Fault(
        "shards are merged in the order in which they are given",
        "cells/sharding.py",
        "[found[name] for name in groups if name in found]",
        "list(found.values())",
    ),
    Fault(
        "a shard's prompts are counted as computed anew",
        "cells/sharding.py",
        "**totals_of([record.run for record in records], shared),",
        "**totals_of([record.run for record in records], 0),",
    ),
    Fault(
        "data's own edges are followed where none are to be",
        "cells/found.py",
        "return with_edges(group, edges)",
        "return with_edges(group, edges) if edges else group",
    ),
    Fault(
        "what does not fit stops the run",
        "cells/flight.py",
        "if strict or error is None:",
        "if not strict or error is None:",
    ),
    # ----- trace and times -----
    Fault(
        "ideal latency is a sum",
        "trace.py",
        "begin = max((finished[index] for index in ask.after), default=0.0)",
        "begin = sum(finished[index] for index in ask.after)",
    ),
    Fault(
        "an ask of no question is paid by nobody who waited",
        "trace.py",
        "payers = ask.questions or [q for q, numbers in needed.items() if number in numbers]",
        "payers = ask.questions",
    ),
    Fault(
        "shares of an ask are whole",
        "trace.py",
        "ask.tokens.share(len(payers))",
        "ask.tokens",
    ),
    Fault(
        "the fastest run for the median",
        "times.py",
        "statistics.median_low([run.wall_s for run in runs])",
        "min(run.wall_s for run in runs)",
    ),
    Fault(
        "the A/A runs among the reference's",
        "times.py",
        "key = (run.strategy, run.decoder, run.again)",
        "key = (run.strategy, run.decoder, False)",
    ),
    Fault(
        "nobody warms up before times are taken",
        "cells/timing.py",
        "                _warm_up(contestants, number)\n",
        "",
    ),
    Fault(
        "always the same order of turns",
        "cells/timing.py",
        "order(len(contestants), turn * repeats + repeat)",
        "range(len(contestants))",
    ),
    Fault(
        "the first groups instead of groups from everywhere",
        "cells/timing.py",
        "return [number * count // most for number in range(most)]",
        "return list(range(most))",
    ),
    Fault(
        "no A/A runs",
        "cells/timing.py",
        "return [*found, again]",
        "return found",
    ),
    # ----- statistics -----
    Fault("confidence of 90 %", "evaluation/statistics.py", "CONFIDENCE = 0.95", "CONFIDENCE = 0.9"),
    Fault(
        "a power of 50 %",
        "evaluation/statistics.py",
        "POWER = 0.8",
        "POWER = 0.5",
        "reporting/test_numbers.py",
    ),
    Fault(
        "a one-sided p-value",
        "evaluation/significance.py",
        "return float((np.abs(sums) >= observed).mean())",
        "return float((sums >= observed).mean()) / 2",
    ),
    Fault(
        "only larger distances count",
        "evaluation/significance.py",
        "(np.abs(sums) >= observed)",
        "(np.abs(sums) > observed + 2e-9 * sizes.sum())",
    ),
    Fault(
        "no correction for many comparisons",
        "evaluation/significance.py",
        'return multipletests(p_values, method="holm")[1].tolist()',
        "return list(p_values)",
    ),
    Fault(
        "Bonferroni for Holm",
        "evaluation/significance.py",
        'method="holm"',
        'method="bonferroni"',
    ),
    Fault(
        "answers are independent, whatever their group",
        "evaluation/statistics.py",
        "return num_values / (effect * graded)",
        "return num_values / graded",
    ),
    Fault(
        "a normal quantile for Student's",
        "evaluation/statistics.py",
        "return t_quantile((1 + CONFIDENCE) / 2, num_groups - 1)",
        "return t_quantile((1 + CONFIDENCE) / 2, 10**6)",
    ),
    # ----- tables -----
    Fault(
        "alike answers of two decoders count twice",
        "reporting/comparing.py",
        'one._replace(decoder="")',
        "one",
    ),
    Fault(
        "the baseline less the cell",
        "reporting/comparing.py",
        "paired_difference(first, second,",
        "paired_difference(second, first,",
    ),
    Fault(
        "wall time without finding the dependencies",
        "reporting/frames.py",
        '"wall_s": {name: one.wall_s + finding[name]',
        '"wall_s": {name: one.wall_s',
    ),
    Fault(
        "p-values as they are without their family",
        "reporting/tables.py",
        "strict=True)\n    return {cell: p_value(p, one.at_floor)",
        "strict=True)\n    return {cell: p_value(one.difference.p, one.at_floor)",
    ),
    Fault(
        "seconds under a head of milliseconds",
        "reporting/tables.py",
        '{"wall_s": 1000, "ideal_s": 1000,',
        '{"wall_s": 1, "ideal_s": 1000,',
    ),
    Fault(
        "a p-value at its floor is written as found",
        "reporting/numbers.py",
        'return f"< {above:.4f}" if at_floor and above < 1 else f"{p:.4f}"',
        'return f"{p:.4f}"',
    ),
    # ----- prompts -----
    Fault(
        "all in one under the rule for one answer",
        "prompts/rendering.py",
        "return [_system(style, many=True),",
        "return [_system(style, many=False),",
    ),
    Fault(
        "one question under the rule for many",
        "prompts/rendering.py",
        "return [_system(style, many=False), *shown, _alone(group, question, style, known or ())]",
        "return [_system(style, many=True), *shown, _alone(group, question, style, known or ())]",
    ),
    Fault(
        "a question without its own passage in all in one",
        "prompts/rendering.py",
        '        lines.append(f"{own}{number}. {question_text(question)}")',
        '        lines.append(f"{number}. {question_text(question)}")',
    ),
    # ----- outlines -----
    Fault(
        "a stop text stays in its branch",
        "decoding/scheduler.py",
        "self.tree.shorten(branch.tip, cut.num_kept)",
        "self.tree.shorten(branch.tip, len(branch.tip.tokens))",
        tests="decoding/test_verbs.py",
    ),
    Fault(
        "each branch of an answer has its whole budget",
        "strategies/outline_writing.py",
        "share = self.left // len(going_on)",
        "share = self.rules.max_new_tokens",
        tests="strategies/test_outline.py",
    ),
    Fault(
        "a join sees what it should see anew",
        "strategies/outline_writing.py",
        "own = [branch.token_ids[base.num_tokens :] for branch in branches]",
        "own = [branch.token_ids for branch in branches]",
        tests="strategies/test_outline.py",
    ),
    # ----- dependencies -----
    Fault(
        "a circle may be closed",
        "dependencies/selection.py",
        "            or ancestors[source] >> target & 1\n",
        "",
    ),
    Fault(
        "the cap of what is needed counts what needs",
        "dependencies/selection.py",
        "needs[target] >= most_in",
        "needs[source] >= most_in",
    ),
    Fault(
        "edges cost without the words around an answer",
        "dependencies/selection.py",
        "fixed = selection.answer_tokens + selection.overhead_tokens",
        "fixed = selection.answer_tokens",
    ),
    Fault(
        "worst edges first",
        "dependencies/selection.py",
        "scores.append(-score)",
        "scores.append(score)",
    ),
    Fault(
        "gold edges the wrong way round",
        "dependencies/controls.py",
        'return known_edges(group) if entry.kind == "gold" else []',
        'return reversed_edges(group) if entry.kind == "gold" else []',
    ),
    Fault(
        "random edges are the same under every seed",
        "dependencies/controls.py",
        'random.Random(f"edges/{seed}/{group.id}")',
        'random.Random(f"edges/{group.id}")',
    ),
    Fault(
        "random edges in the group's own order",
        "dependencies/controls.py",
        "    rng.shuffle(names)\n",
        "",
    ),
    Fault(
        "a control's look-up is timed",
        "cells/depending.py",
        "wall_s=0.0 if isinstance(self.entry, ControlEntry) else wall_s",
        "wall_s=wall_s",
    ),
    Fault(
        "edges are chosen by characters",
        "cells/depending.py",
        "self.entry.selection, self.count_tokens)",
        "self.entry.selection, len)",
    ),
    # ----- identities -----
    Fault(
        "prompts are no part of the code of answers",
        "config/hashing.py",
        "    return closure(_answers_roots(experiment, cell.strategy, cell.decoder))\n",
        "    found = closure(_answers_roots(experiment, cell.strategy, cell.decoder))\n"
        '    return [file for file in found if file.parent.name != "prompts"]\n',
    ),
    Fault(
        "the strategy is no part of the code of answers",
        "config/hashing.py",
        'return LIBRARY / "cells/cell.py", source, _file_of',
        'return LIBRARY / "cells/cell.py", LIBRARY / "trace.py", _file_of',
    ),
    Fault(
        "the text of a file does not count",
        "config/hashing.py",
        'f"{name}\\0{_content(path)}\\0"',
        'f"{name}\\0"',
    ),
    Fault(
        "the budget is no part of a cell",
        "config/identity.py",
        '        "max_new_tokens": experiment.max_new_tokens,\n',
        "",
    ),
    Fault(
        "the style is no part of a cell",
        "config/identity.py",
        '        "style": style,\n',
        "",
    ),
    Fault(
        "shots are no part of a cell",
        "config/styles.py",
        "    if entry.shots:\n        settings[",
        "    if False:\n        settings[",
    ),
    Fault(
        "the beginning of an answer is sent twice",
        "decoding/models/chat.py",
        "return _Rendered(plain_text(marked) + begun, mark)",
        "return _Rendered(plain_text(marked) + begun + begun, mark)",
    ),
    Fault(
        "trees come before those that they inherit from",
        "decoding/held/tree.py",
        "key=lambda pair: (pair[0].level, pair[0].root_id)",
        "key=lambda pair: (-pair[0].level, pair[0].root_id)",
    ),
    Fault(
        "a model's revision is no part of a cell",
        "config/hashing.py",
        'name = f"{entry.hub}@{entry.revision}"',
        'name = f"{entry.hub}"',
    ),
    Fault(
        "the path of data is a part of a cell",
        "config/parts.py",
        '"label", "scorer", "language", "path", "needs"',
        '"label", "scorer", "language", "needs"',
        "config/test_hashing.py config/test_identity.py",
    ),
    Fault(
        "the language is no part of scores",
        "config/identity.py",
        '        "language": entry.language,\n',
        "",
    ),
    Fault(
        "repeats are no part of times",
        "config/timing.py",
        '        "repeats": experiment.repeats,\n',
        "",
    ),
    # ----- the reference decoder -----
    Fault(
        "padding of a prompt is not counted",
        "decoding/reference.py",
        "padding = ids_BT.shape[1] - sent + watch.num_steps - len(row.ids)",
        "padding = watch.num_steps - len(row.ids)",
    ),
    Fault(
        "passes of every row",
        "decoding/reference.py",
        "self.num_forward_passes += watch.num_steps",
        "self.num_forward_passes += watch.num_steps * len(requests)",
    ),
    Fault(
        "padding on the right",
        "decoding/reference.py",
        "ids.append([self.pad_id] * padding + request.prompt_ids)",
        "ids.append(request.prompt_ids + [self.pad_id] * padding)",
    ),
    # ----- training, mixing, peeking -----
    Fault(
        "a branch that mixes takes from itself",
        "decoding/mixers/modules.py",
        "seen_MM &= ~torch.eye(len(own_MD), dtype=torch.bool, device=own_MD.device)",
        "seen_MM |= torch.eye(len(own_MD), dtype=torch.bool, device=own_MD.device)",
    ),
    Fault(
        "mixing reaches over columns",
        "decoding/mixers/modules.py",
        "seen_MM = (wanted_M[:, None] == sets) & (column_M[:, None] == column_M)",
        "seen_MM = wanted_M[:, None] == sets",
    ),
    Fault(
        "branches peek at their own column",
        "decoding/held/tree.py",
        "earlier_NS = self.position_S[used] < self.position_S[slots_N, None]",
        "earlier_NS = self.position_S[used] <= self.position_S[slots_N, None]",
        "decoding/test_peeking.py",
    ),
    Fault(
        "a set enters a pass in parts",
        "decoding/held/tree.py",
        "if node.together is not None and sum(one.num_pending for one in alike) > room:",
        "if node.together is not None and room <= 0:",
        "decoding/mixers/test_mixing.py decoding/test_peeking.py",
    ),
    Fault(
        "targets are learned from the neighbour in the row",
        "training/packing.py",
        "before = place - 1 + shift if place > begin else self._end_above(node)",
        "before = place - 1 + shift",
        "training/test_training.py",
    ),
    Fault(
        "a pass's loss is a mean",
        "training/trainer.py",
        "share = learned.loss_sum * self.accelerator.num_processes / max(1, total)",
        "share = learned.loss_sum / max(1, len(batch.target_N))",
    ),
    Fault(
        "the last weights are kept, not the best",
        "training/trainer.py",
        "if done.best_loss is None or loss < done.best_loss:",
        "if done.best_loss is None or loss > -1:",
    ),
    Fault(
        "trained weights stay in the model",
        "decoding/trained/attaching.py",
        "setattr(module, last, old)",
        "pass",
    ),
    Fault(
        "a checkpoint fits any base",
        "decoding/trained/folder.py",
        "if found != record.base.files:",
        "if found is None:",
        "decoding/trained/test_attaching.py",
    ),
    Fault(
        "what was trained on is evaluated",
        "data/passages.py",
        "if not passages_of(group).isdisjoint(trained):",
        "if not trained:",
        "data/test_passages.py",
    ),
)


def noticing(fault: Fault) -> tuple[str, ...]:
    """The tests that are to notice it."""
    return tuple((fault.tests or TESTS[fault.file]).split())


def with_fault(fault: Fault) -> str:
    """The text of its file with the fault. Raises ValueError where the old text is not there once."""
    text = (LIBRARY / fault.file).read_text()
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name}: {text.count(fault.old)} places in {fault.file}: {fault.old!r}")
    return text.replace(fault.old, fault.new)


def main() -> None:
    """The command: every fault that passes its tests is named; exit status 1 where there is any."""
    parser = argparse.ArgumentParser(description="Faults made by hand, and the tests that notice them.")
    parser.add_argument("words", nargs="*", help="of the faults' names; all by default")
    words = parser.parse_args().words
    chosen = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    preload()
    passed = []
    for number, fault in enumerate(chosen, start=1):
        outcome, seconds = noticed(LIBRARY / fault.file, with_fault(fault), noticing(fault))
        print(f"{number}/{len(chosen)} {outcome:8} {seconds:5.1f} s  {fault.name}", flush=True)
        passed += [fault.name] if outcome == "survived" else []
    print(f"{len(chosen) - len(passed)} of {len(chosen)} faults noticed")
    if passed:
        sys.exit(f"passed all tests: {'; '.join(passed)}")


if __name__ == "__main__":
    main()
