#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to allot bits side by side: measured KLD of the plans of rules of thumb, of every metric and of the gradient probe.

    python allocation_table.py QLOUPE [--model MODEL] [--text FOLDER] [--work FOLDER] [--windows 16] [--sizes 3.5,4,4.5,5]
        [--candidates int gguf gguf:q4_0@gptq,gguf:q8_0@gptq …] [--metrics fisher,kfac]

MODEL is a folder or GGUF file (the sample), FOLDER holds calibration.txt and test.txt (that of the model, else `text` beside it). All
choices are made on calibration.txt: statistics on its first three quarters, the probe on the rest. Each set of candidates gets a table:
  uniform       the one candidate for all layers that is predicted best of those that fit
  ends higher   first and last block one step higher, all else as high as fits
  by role       llama.cpp's rule of Q*_K_M: attn_v and ffn_down of the first eighth, the last eighth and every third block between
                higher, the output head highest, all as high as fits
  HAWQ-V2       hessian_trace, solved exactly;  greedy: relative_weight_error by steepest steps
  a metric      its own allocation, solved exactly
  probe         losses by the gradient probe, solved exactly: what is recommended
  exact         with --exact: of N cells, the most valuable first, the losses by the exact probe instead
Steps of rules go through the candidates by bits, without those that cost more and are predicted to lose more; a layer whose shape does
not take one gets the next larger that it takes. A layer that a metric says nothing of keeps the uniform plan's candidate.
Cells: bits per weight, KLD on test.txt ± its standard error over windows, nats per token, and in brackets how much more than the last
row's in standard errors of the difference, paired by windows. Equal plans are run once. Behind it, Spearman of each metric's predicted
sum and the KLD over all these plans, and the mean of that over sizes. What is finished in --work is taken from there by the next run;
for other --text, --metrics or --curvature give another folder. Nothing but the standard library is needed.
"""
import argparse
import hashlib
import json
import math
import os
import pathlib
import subprocess
import sys

SETS = {"int": (",".join(f"int{bits}:g64:s=f16" for bits in range(3, 9)), ""),
        "gguf": ("", "gguf")}  # what the target is usually given
PROBE = "probe"
PLANS_IN_A_RUN = 8  # what a killed run loses
PROBE_CONTEXT = 128  # a window is one sample, whatever its length: n of them know a loss to √(2/n) of itself


class Steps:
    """Runs qloupe; what a step says, and files that it writes, are kept in the folder."""

    def __init__(self, qloupe, prefix, work):
        self.program, self.work = [*prefix, str(qloupe), "--json", "--quiet"], work
        work.mkdir(parents=True, exist_ok=True)

    def path(self, name):
        return self.work / name

    def run(self, *arguments):
        done = subprocess.run([*self.program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, arguments))}\n{done.stderr}")
        return json.loads(done.stdout)

    def write(self, path, result):
        written = path.with_suffix(".part")
        written.write_text(json.dumps(result))
        os.replace(written, path)

    def kept(self, name, *arguments):
        path = self.path(f"{name}.says.json")
        if not path.exists():
            print(f"  {name}", file=sys.stderr, flush=True)
            self.write(path, self.run(*arguments))
        return json.loads(path.read_text())


class Task:
    """The model with its calibration."""

    def __init__(self, steps, options):
        self.steps, self.options, self.model = steps, options, options.model
        folder = options.text or (self.model if (self.model / "calibration.txt").exists() else self.model.parent / "text")
        self.test = folder / "test.txt"
        lines = (folder / "calibration.txt").read_text().splitlines(keepends=True)
        self.held = steps.path("probe.txt")  # codes may be fitted to what is in the statistics
        seen = steps.path("statistics.txt")
        seen.write_text("".join(lines[:len(lines) * 3 // 4]))
        self.held.write_text("".join(lines[len(lines) * 3 // 4:]))
        self.study = steps.path("study.qloupe")
        layers = steps.kept("info", "info", self.model)["layers"]
        self.layers = {layer["name"]: layer for layer in layers if layer["quantizable"]}
        self.blocks = 1 + max(layer["block"] for layer in self.layers.values() if layer["block"] is not None)
        steps.kept("calibrate", "calibrate", self.model, "--text", seen, "--gram", "full", "--fisher", "--depth", "--out", self.study)
        if options.curvature:
            steps.kept("curvature", "curvature", self.model, "--text", seen, *options.curvature.split(), "--study", self.study)
        self.needs = {metric["id"]: metric["needs"] for metric in steps.kept("metrics", "list", "metrics")["metrics"]}

    def weights(self, layer):
        return math.prod(self.layers[layer]["shape"])


class Table:
    """A set of candidates: losses of layers by every metric, plans, and what they measured."""

    def __init__(self, task, name):
        self.task, self.steps, self.name = task, task.steps, name
        self.key = name if name in SETS else hashlib.sha256(name.encode()).hexdigest()[:8]
        candidates, target = SETS.get(name, (name, "gguf" if "gguf:" in name else ""))
        others = [*(["--target", target] if target else []), "--activations", task.study]
        self.target = target
        chosen = task.options.metrics
        taken = [*chosen, "relative_weight_error", *(["hessian_trace"] if task.options.curvature else [])]
        # A table of losses is of the last, which has to be in nats per token.
        metrics = ",".join([*dict.fromkeys(metric for metric in taken if metric != "kfac"), "kfac"]) if chosen else "all"
        table = self.steps.path(f"{self.key}-kfac.losses.json")
        says = self.steps.kept(f"{self.key}-metrics", "sensitivity", task.model, *(["--candidates", candidates] if candidates else []),
                               *others, "--metrics", metrics, "--out", table)
        self.header = json.loads(table.read_text())
        self.arguments = ["--candidates", ",".join(its for its in self.header["candidates"] if its != "keep"), *others]
        self.bits = {}  # layer -> candidate -> bits per weight
        self.losses = {metric["id"]: {} for metric in says["metrics"]}  # metric -> layer -> candidate -> loss
        for row in says["cells"]:
            if row["allowed"] and row["candidate"] != "keep":
                self.bits.setdefault(row["name"], {})[row["candidate"]] = row["bits_per_weight"]
                for metric, losses in self.losses.items():
                    if row[metric] is not None:
                        losses.setdefault(row["name"], {})[row["candidate"]] = row[metric]
        self.missing = {metric: task.needs[metric] for metric in chosen or task.needs if metric not in self.losses}
        probe = self.steps.path(f"{self.key}-{PROBE}.losses.json")
        self.steps.kept(f"{self.key}-{PROBE}", "sensitivity", task.model, *self.arguments, "--text", task.held, "--probe", "gradient",
                        "--context", PROBE_CONTEXT, "--out", probe)
        self.take(PROBE, probe)
        self.ours = PROBE
        if task.options.exact is not None:
            exact = self.steps.path(f"{self.key}-exact.losses.json")
            self.steps.kept(f"{self.key}-exact", "sensitivity", task.model, *self.arguments, "--text", task.held, "--probe", "exact",
                            "--losses", probe, "--limit", task.options.exact, "--study", self.steps.path(f"{self.key}-exact.qloupe"),
                            "--out", exact)
            self.ours = "exact"
            self.take("exact", probe)
            self.take("exact", exact)
        self.rungs = self.ladder()
        self.scores = {}  # plan -> what validate says
        self.inputs = ""  # fingerprint of what the quantizers of its plans saw

    def take(self, metric, path):
        for cell in json.loads(path.read_text())["cells"]:
            self.losses.setdefault(metric, {}).setdefault(cell["layer"], {})[cell["candidate"]] = cell["loss"]

    # Plans are tuples of candidates in the order of layers.
    def plan(self, choose):
        return tuple(choose(layer) for layer in self.bits)

    def size(self, plan):
        weights = [self.task.weights(layer) for layer in self.bits]
        return sum(self.bits[layer][its] * count for layer, its, count in zip(self.bits, plan, weights)) / sum(weights)

    def loss(self, metric, plan):
        return sum(self.losses[metric].get(layer, {}).get(its, 0) for layer, its in zip(self.bits, plan))

    def at(self, order, step, layer):
        """The candidate of that step, or the next larger that the layer takes."""
        step = min(step, len(order) - 1)
        return next(its for its in [*order[step:], *reversed(order), *self.bits[layer]] if its in self.bits[layer])

    def ladder(self):
        sizes = {}
        for layer in self.bits.values():
            for its, bits in layer.items():
                sizes.setdefault(its, []).append(bits)
        order = sorted(sizes, key=lambda its: sum(sizes[its]) / len(sizes[its]))
        best, rungs = math.inf, []
        for step, its in enumerate(order):
            loss = self.loss(PROBE, self.plan(lambda layer: self.at(order, step, layer)))
            if loss < best:
                best = loss
                rungs.append(its)
        return rungs

    def highest(self, plans, size):
        """The last of them that fits."""
        return next((plan for plan in reversed(list(plans)) if self.size(plan) <= size + 1e-9), None)

    def uniform(self, size):
        plans = [self.plan(lambda layer: self.at(self.rungs, step, layer)) for step in range(len(self.rungs))]
        return min((plan for plan in plans if self.size(plan) <= size + 1e-9), key=lambda plan: self.loss(PROBE, plan), default=None)

    def ends_higher(self, size):
        ends = (0, self.task.blocks - 1)

        def at(step):
            return self.plan(lambda layer: self.at(self.rungs, step + (self.task.layers[layer]["block"] in ends), layer))

        return self.highest(map(at, range(len(self.rungs))), size)

    def by_role(self, size):
        count, layers, last = self.task.blocks, self.task.layers, len(self.rungs) - 1
        head = "output" if any(layers[layer]["role"] == "output" for layer in self.bits) else "embedding"

        def more(layer):
            block = layers[layer]["block"]
            return layers[layer]["role"] in ("v_proj", "down_proj") and (
                block < count // 8 or block >= 7 * count // 8 or (block - count // 8) % 3 == 2)

        def at(step, above, top):
            def rung(layer):
                return top if layers[layer]["role"] == head else step + above if more(layer) else step

            return self.plan(lambda layer: self.at(self.rungs, rung(layer), layer))

        for step in reversed(range(len(self.rungs))):
            if self.highest([at(step, 1, step)], size) is None:
                continue
            top = max(top for top in range(step, last + 1) if self.highest([at(step, 1, top)], size))
            return self.highest([at(step, above, top) for above in (1, 2)], size)
        return None

    def solved(self, metric, size, solver="exact"):
        """None where nothing fits."""
        smallest = self.plan(lambda layer: min(self.bits[layer], key=self.bits[layer].get))
        if self.size(smallest) > size + 1e-9:
            return None
        uniform = dict(zip(self.bits, self.uniform(size) or smallest))
        cells = []
        for layer in self.bits:
            losses = self.losses[metric].get(layer) or {uniform[layer]: 0}
            below = min(0, *losses.values())  # one constant for all candidates of a layer changes no choice
            cells += [{"layer": layer, "candidate": its, "loss": loss - below, "standard_error": 0, "evidence": "gradients"}
                      for its, loss in losses.items()]
        name = f"{self.key}-{metric}-{solver}-{size:g}"
        table, out = self.steps.path(f"{name}.losses.json"), self.steps.path(f"{name}.plan.json")
        table.write_text(json.dumps({**self.header, "metric": metric, "cells": cells}))
        self.steps.kept(name, "solve", self.task.model, "--losses", table, *self.arguments, "--bpw", f"{size:.10g}", "--solver",
                        solver, "--out", out)
        plan = json.loads(out.read_text())
        self.inputs = self.inputs or plan["activations"]
        return self.plan(lambda layer: plan["candidates"][layer])

    def measure(self, plans):
        """Those that are not measured, several in a run: the model is run once, and codes are made once, for all in it."""
        windows, names, missing = self.task.options.windows, {}, []
        for plan in plans:
            text = json.dumps({"quantloupe_plan": 1, "checkpoint": self.header["checkpoint"], "variant": "", "target": self.target,
                               "activations": self.inputs, "candidates": dict(zip(self.bits, plan)), "locked": []}, indent=1)
            names[plan] = self.steps.path(f"{self.key}-{hashlib.sha256(text.encode()).hexdigest()[:12]}")
            kept = pathlib.Path(f"{names[plan]}-{windows}.json")
            if kept.exists():
                self.scores[plan] = json.loads(kept.read_text())
            else:
                pathlib.Path(f"{names[plan]}.plan.json").write_text(text)
                missing.append(plan)
        for first in range(0, len(missing), PLANS_IN_A_RUN):
            some = missing[first:first + PLANS_IN_A_RUN]
            print(f"  {self.key}: {len(missing) - first} plans to run", file=sys.stderr, flush=True)
            rows = self.steps.run("validate", self.task.model, "--text", self.task.test, "--windows", windows, "--plans",
                                  *(f"{names[plan]}.plan.json" for plan in some),
                                  *(["--activations", self.task.study] if self.inputs else []))["plans"]
            for plan, row in zip(some, rows):
                self.steps.write(pathlib.Path(f"{names[plan]}-{windows}.json"), row)
                self.scores[plan] = row

    def methods(self, size):
        yield self.ours, self.solved(self.ours, size)  # first: it tells what inputs plans need
        yield "uniform", self.uniform(size)
        yield "ends higher", self.ends_higher(size)
        yield "by role", self.by_role(size)
        if "hessian_trace" in self.losses:
            yield "HAWQ-V2", self.solved("hessian_trace", size)
        yield "greedy", self.solved("relative_weight_error", size, "greedy")
        for metric in self.task.options.metrics or self.losses:
            if metric in self.losses and metric not in (PROBE, "exact", "hessian_trace"):
                yield metric, self.solved(metric, size)
        if self.ours != PROBE:
            yield PROBE, self.solved(PROBE, size)


def error(values):
    """Of their mean."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values) / (len(values) - 1)) if len(values) > 1 else math.inf


def ranks(values):
    order = sorted(values)
    return [order.index(value) + (order.count(value) - 1) / 2 for value in values]


def spearman(first, second):
    a, b = ranks(first), ranks(second)
    middle = (len(a) - 1) / 2
    spread = math.sqrt(sum((x - middle) ** 2 for x in a) * sum((y - middle) ** 2 for y in b))
    return sum((x - middle) * (y - middle) for x, y in zip(a, b)) / spread if spread > 0 else math.nan


def difference(theirs, ours):
    """In standard errors of the difference of windows."""
    pairs = [a - b for a, b in zip(theirs["kld_windows"], ours["kld_windows"])]
    return sum(pairs) / len(pairs) / max(error(pairs), 1e-300)


def show(table, sizes):
    plans = {size: dict(table.methods(size)) for size in sizes}
    names = [name for name in plans[sizes[0]] if name != table.ours] + [table.ours]
    table.measure(dict.fromkeys(plan for size in sizes for plan in plans[size].values() if plan))
    print(f"\n{table.name} on {table.task.model.name}, {table.task.options.windows or 'all'} windows\n")
    print("| plan by | " + " | ".join(f"{size:g} bits" for size in sizes) + " |\n|---|" + "---|" * len(sizes))
    by = {size: {"beats": [], "equals": [], "does not beat": []} for size in sizes}
    for name in names:
        cells = []
        for size in sizes:
            plan, ours = plans[size][name], plans[size][table.ours]
            if plan is None:
                cells.append("none fits")
                continue
            score = table.scores[plan]
            cell = f"{table.size(plan):.3f} · {score['kld']:.5f} ± {score['kld_window_error']:.5f}"
            if name != table.ours and plan == ours:
                cell += " (equal)"
                by[size]["equals"].append(name)
            elif name != table.ours and ours is not None:
                z = difference(score, table.scores[ours])
                cell += f" ({z:+.1f})"
                by[size]["beats" if z >= 2 else "does not beat"].append(name)
            cells.append(cell)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print()
    for size in sizes:
        print(f"{size:g} bits: {table.ours} beats {len(by[size]['beats'])} by two standard errors or more, equals "
              f"{', '.join(by[size]['equals']) or 'none'}, does not beat {', '.join(by[size]['does not beat']) or 'none'}")
    for metric, needs in table.missing.items():
        print(f"{metric}: not there, needs {needs}")

    print("\n| metric | Spearman, all plans | within sizes |\n|---|---|---|")
    measured = {size: list({plan for plan in plans[size].values() if plan}) for size in sizes}
    every = list(dict.fromkeys(plan for size in sizes for plan in measured[size]))
    if len(every) < 3:
        return

    rows = []
    for metric in table.losses:
        def of(its):
            return spearman([table.loss(metric, plan) for plan in its], [table.scores[plan]["kld"] for plan in its])

        within = [value for value in (of(measured[size]) for size in sizes if len(measured[size]) > 3) if not math.isnan(value)]
        rows.append((of(every), sum(within) / len(within) if within else math.nan, metric))
    for over, within, metric in sorted(rows, key=lambda row: -row[0] if not math.isnan(row[0]) else 2):
        print(f"| {metric} | {over:.3f} | {within:.3f} |")
    print(f"\n{len(every)} plans", flush=True)


def main():
    sample = pathlib.Path(__file__).resolve().parents[2] / "resources/sample"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("qloupe", type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=sample)
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("allocation"))
    parser.add_argument("--windows", type=int, default=16, help="of test.txt, 512 tokens each; 0: all")
    parser.add_argument("--sizes", type=lambda text: [float(size) for size in text.split(",")], default=[3.5, 4.0, 4.5, 5.0])
    parser.add_argument("--candidates", nargs="+", default=list(SETS), help="sets: int, gguf, or candidates separated by commas")
    parser.add_argument("--metrics", type=lambda text: text.split(","), default=[], help="otherwise all that the data allow")
    parser.add_argument("--exact", type=int, metavar="N", help="cells that the exact probe measures; 0: all; not given: none")
    parser.add_argument("--curvature", default="--windows 2 --context 128 --probes 32 --iterations 5 --subsets 2",
                        help="options of qloupe curvature for hessian_trace and top_eigenvalue; '': without them")
    parser.add_argument("--prefix", type=str.split, default=[], help="put before every command, e.g. nice")
    options = parser.parse_args()
    task = Task(Steps(options.qloupe.resolve(), options.prefix, options.work / options.model.stem), options)
    for name in options.candidates:
        show(Table(task, name), options.sizes)


if __name__ == "__main__":
    sys.exit(main())
