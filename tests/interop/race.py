#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The race against llama.cpp: at the byte count of each of its files, the KLD of our GGUF of no more bytes, both judged by
`llama-perplexity --kl-divergence`.

    python race.py QLOUPE LLAMA MODELS [--model smollm2|sample] [--work FOLDER] [--windows 40]

LLAMA holds llama-quantize, llama-imatrix and llama-perplexity, MODELS smollm2-135m-f16.gguf and text/{calibration,test,other}.txt. All
choices, llama.cpp's and ours, are made on calibration.txt. What is finished in --work is taken from there by the next run. Prints
for every file: bytes, mean KLD with its standard error, and of ours the ratio to the best of llama.cpp's files that are not
larger, with the standard error of windows that both ran (llama-perplexity tells no KLD of single tokens); then the time and the
largest memory of our steps. Nothing but the standard library is needed.
"""
import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import time

# Those that are on the frontier of SmolLM2-135M with their importance matrix, and Q4_0.
SMOLLM2_TYPES = ["IQ2_M", "IQ3_S", "IQ4_XS", "Q4_0", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]
SAMPLE_TYPES = ["IQ3_XXS", "Q2_K", "IQ3_M", "Q3_K_M", "IQ4_XS", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"]
CONTEXT = 512
JUDGE = ["-c", CONTEXT, "--no-repack"]  # one order of adding on every CPU, and its AMX kernels crash on Q4_K
GPTQ = "gptq:polish=4"
PROBE_CONTEXT, REPAIR_CONTEXT = 128, 256  # a window is one sample of the probe
# Blocks of 256 fit down_proj's rows only; llama.cpp then rounds their inputs by 256, too, which the losses count.
SMOLLM2_CANDIDATES = [f"gguf:{block}@{GPTQ}" for block in ("iq3_s", "iq4_nl", "q4_0", "q4_1", "q5_0", "q5_1", "q6_k", "q8_0")] + [
    f"gguf:{block}@{GPTQ}:rows=together" for block in ("iq4_nl", "q5_0", "q5_1")] + ["f16"]  # not for the head, whose outputs are too many
SAMPLE_CANDIDATES = [f"gguf:{block}@{GPTQ}" for block in ("iq2_s", "iq3_xxs", "iq3_s", "iq4_xs", "iq4_nl", "q4_1", "q5_0", "q5_1",
                                                        "q8_0")] + [f"gguf:{block}@imatrix" for block in ("q4_k", "q5_k", "q6_k")]


class Steps:
    """Runs programs and writes down what each cost; finished results are kept as JSON files."""

    def __init__(self, work, prefix):
        self.work, self.prefix = work, prefix
        work.mkdir(parents=True, exist_ok=True)

    def run(self, *command, log=None, ends=(0,)):
        """Standard output and error joined; {seconds, bytes} of the run, which may end with one of these codes."""
        started = time.monotonic()
        path = self.work / "log" if log is None else log
        with open(path, "wb") as out:
            process = subprocess.Popen([*self.prefix, *map(str, command)], stdout=out, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        text = path.read_text(errors="replace")
        if process.returncode not in ends:
            raise RuntimeError(f"{' '.join(map(str, command))}\n{text[-3000:]}")
        return text, {"seconds": time.monotonic() - started, "bytes": 1024 * usage.ru_maxrss}

    def kept(self, name, make):
        path = self.work / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text())
        result = make()
        path.write_text(json.dumps(result))
        return result


class LlamaCpp:
    def __init__(self, steps, programs, model, calibration, texts, options):
        self.steps, self.programs, self.model = steps, programs, model
        self.calibration, self.texts, self.windows, self.threads = calibration, texts, options.windows, options.threads

    def program(self, name):
        return self.programs / f"llama-{name}"

    def base(self, text):
        base = self.steps.work / f"base-{text}-{self.windows}.kld"

        def make():
            self.steps.run(self.program("perplexity"), "-m", self.model, "-f", self.texts[text], *JUDGE, "--chunks", self.windows,
                           "-t", self.threads, "--kl-divergence-base", base)
            return True

        self.steps.kept(f"base-{text}-{self.windows}", make)
        return base

    def judged(self, path, text):
        """Mean KLD, its standard error, and the means of the windows (from the running means, which are printed with five digits)."""
        for _ in range(10):  # what it printed last is sometimes lost when it ends
            log, _ = self.steps.run(self.program("perplexity"), "-m", path, *JUDGE, "-t", self.threads, "--kl-divergence",
                                    "--kl-divergence-base", self.base(text))
            if found := re.search(r"Mean\s+KLD:\s+([-\d.]+)\s+±\s+([-\d.]+)", log):
                break
        mean, error = map(float, found.groups())
        number = r"\s+([-\d.naif]+)\s+±\s+[-\d.naif]+"
        running = [float(row[3]) for row in re.findall(rf"^\s*(\d+){number}{number}{number}", log, re.MULTILINE)]
        windows = [(i + 1) * value - i * before for i, (value, before) in enumerate(zip(running, [0.0, *running]))]
        return {"kld": mean, "error": error, "windows": windows}

    def judge(self, name, path):
        return {text: self.steps.kept(f"{name}-{text}-{self.windows}", lambda: self.judged(path, text)) for text in self.texts}

    def file(self, kind):
        """One of llama.cpp's own."""
        imatrix, out = self.steps.work / "imatrix.gguf", self.steps.work / f"{kind}.gguf"

        def importance():
            self.steps.run(self.program("imatrix"), "-m", self.model, "-f", self.calibration, "-c", CONTEXT, "-t", self.threads, "-o", imatrix)
            return True

        def make():
            self.steps.run(self.program("quantize"), "--imatrix", imatrix, self.model, out, kind, self.threads)
            return {"bytes": out.stat().st_size}

        self.steps.kept("imatrix", importance)
        name = f"llama-{kind}"
        row = self.steps.kept(name, make)
        if not out.exists() and not all((self.steps.work / f"{name}-{text}-{self.windows}.json").exists() for text in self.texts):
            make()  # removed after it was judged, by fewer windows or texts
        row |= {"name": kind, "texts": self.judge(name, out)}
        out.unlink(missing_ok=True)
        return row


def ratio(ours, theirs):
    """Of the means, and its standard error over windows, or of independent means where those are not known."""
    value = ours["kld"] / theirs["kld"]
    pairs = list(zip(ours["windows"], theirs["windows"]))
    if len(pairs) < 2:
        return value, value * math.hypot(ours["error"] / ours["kld"], theirs["error"] / theirs["kld"])
    squares = sum((a - value * b) ** 2 for a, b in pairs)
    return value, math.sqrt(squares / len(pairs) / (len(pairs) - 1)) / theirs["kld"]


class Ours:
    def __init__(self, steps, qloupe, model, calibration, candidates, repair):
        self.steps, self.qloupe, self.model, self.calibration, self.candidates = steps, qloupe, model, calibration, candidates
        self.repair = repair
        self.costs = {}

    def command(self, name, *arguments, ends=(0,)):
        """Keeps what the command says and what it cost."""
        def make():
            log, cost = self.steps.run(self.qloupe, "--json", "--quiet", *arguments, ends=ends)
            return {"cost": cost, "says": log}

        result = self.steps.kept(f"ours-{name}", make)
        self.costs[name] = result["cost"]
        return json.loads(result["says"][result["says"].index("{"):])  # after what it warns of

    def file(self, budget, name):
        study, table = self.steps.work / "study.qloupe", self.steps.work / "losses.json"
        plan, out = self.steps.work / f"{name}.plan.json", self.steps.work / f"{name}.gguf"
        # Losses of codes that were fitted to a text are too small on it: statistics are of its first three quarters, losses of the rest.
        lines = self.calibration.read_text().splitlines(keepends=True)
        parts = [self.steps.work / "statistics.txt", self.steps.work / "losses.txt"]
        for part, its in zip(parts, (lines[:len(lines) * 3 // 4], lines[len(lines) * 3 // 4:])):
            part.write_text("".join(its))
        text, short = ["--context", CONTEXT, "--text"], ["--context", PROBE_CONTEXT, "--text"]
        inputs = ["--activations", study]
        self.command("calibrate", "calibrate", self.model, *text, parts[0], "--windows", 0, "--gram", "full", "--fisher", "--output-gram",
                     "--out", study)
        self.command("losses", "sensitivity", self.model, "--candidates", ",".join(self.candidates), *inputs, "--target", "gguf", *short,
                     parts[1], "--windows", 0, "--probe", "gradient", "--as", "llama.cpp", "--out", table)
        solved = self.command(f"solve-{name}", "solve", self.model, *inputs, "--target", "gguf", "--losses", table, "--size", budget,
                              "--out", plan)
        scales = []
        if self.repair:
            file = self.steps.work / f"{name}.npz"
            repaired = self.command(f"repair-{name}", "repair", self.model, *inputs, "--plan", plan, "--context", REPAIR_CONTEXT, "--text",
                                    parts[0], "--windows", 0, "--method", self.repair, "--out", file, ends=(0, 1))
            scales = ["--repair", file] if repaired["kept"] else []
        written = self.command(f"export-{name}", "export", self.model, *inputs, "--plan", plan, *scales, "--target", "gguf", "--out", out)
        return out, {"bytes": written["bytes"], "predicted": solved["predicted_loss"]}


def show(row, best, goal=""):
    for text, judged in row["texts"].items():
        line = f"{row['bytes']:>12,} {row['name']:22} {text:6} {judged['kld']:.5f} ± {judged['error']:.5f}"
        if best:
            value, error = ratio(judged, best[text]["texts"][text])
            line += f"  {value:.3f} ± {error:.3f} of {best[text]['name']}"
        print(line + goal, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("qloupe", type=pathlib.Path)
    parser.add_argument("llama", type=pathlib.Path)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--model", choices=("smollm2", "sample"), default="smollm2")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("race"))
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--types", type=lambda text: text.split(","), help="of llama.cpp's files, otherwise all of the frontier")
    parser.add_argument("--candidates", type=lambda text: text.split(","), help="of our files, otherwise the blocks of llama.cpp by GPTQ")
    parser.add_argument("--repair", default="", help="how scales of our files are tuned, e.g. kld:rate=0.002:tune=both; otherwise they are not")
    parser.add_argument("--threads", type=int, default=2, help="of llama.cpp's programs")
    parser.add_argument("--prefix", type=str.split, default=[], help="put before every command, e.g. nice")
    options = parser.parse_args()

    steps = Steps(options.work / options.model, options.prefix)
    if options.model == "smollm2":
        model, text = options.models / "smollm2-135m-f16.gguf", options.models / "text"
        texts = {"test": text / "test.txt", "other": text / "other.txt"}
        types, candidates = SMOLLM2_TYPES, SMOLLM2_CANDIDATES
    else:
        sample = pathlib.Path(__file__).resolve().parents[2] / "resources/sample"
        model, text, texts = steps.work / "f16.gguf", sample, {"test": sample / "test.txt"}
        types, candidates = SAMPLE_TYPES, SAMPLE_CANDIDATES
        if not model.exists():
            plan = steps.work / "f16.plan.json"
            steps.run(options.qloupe, "solve", sample, "--candidates", "f16", "--bpw", 16, "--target", "gguf", "--out", plan)
            steps.run(options.qloupe, "export", sample, "--plan", plan, "--target", "gguf", "--out", model)

    llama = LlamaCpp(steps, options.llama, model, text / "calibration.txt", texts, options)
    theirs = sorted((llama.file(kind) for kind in options.types or types), key=lambda row: row["bytes"])
    for row in theirs:
        show(row, None)
    ours = Ours(steps, options.qloupe, model, text / "calibration.txt", options.candidates or candidates, options.repair)
    for row in theirs:
        budget = row["bytes"]
        best = {name: min((other for other in theirs if other["bytes"] <= budget), key=lambda other: other["texts"][name]["kld"])
                for name in texts}
        try:
            path, mine = ours.file(budget, f"ours-{row['name']}")
        except RuntimeError as refused:
            print(f"{budget:>12,} none of ours: {str(refused).splitlines()[-1]}", flush=True)
            continue
        assert mine["bytes"] <= budget, "larger than asked for"
        mine |= {"name": f"ours for {row['name']}", "texts": llama.judge(f"ours-{row['name']}", path)}
        show(mine, best)
    seconds = sum(cost["seconds"] for cost in ours.costs.values())
    print(f"ours: {seconds:.0f} s in all, at most {max(cost['bytes'] for cost in ours.costs.values()) / 2**20:.0f} MiB")
    for name, cost in ours.costs.items():
        print(f"  {name:24} {cost['seconds']:8.1f} s {cost['bytes'] / 2**20:8.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
