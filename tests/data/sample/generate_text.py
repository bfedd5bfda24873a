#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the text the sample study is trained, calibrated and tested on.

Everything comes from the probabilistic grammar below: stories with a memory,
arithmetic, small programs with their output, ledgers, diaries, word lists -
and writings about one invented country whose some 3500 facts (prices,
roads, timetables, feasts, annals, a dictionary, who does what on which day)
are the same in every split.  A model has to store the facts in its weights,
so it has something to lose when they are rounded.  The documents of the splits
differ; the facts do not.

The text of a split depends on the split's name and the number of documents
alone.  Only `random.Random(seed).random()` is used, whose sequence Python
keeps stable from version to version.

    generate_text.py --split test --documents 120 > test.txt
"""

import argparse
import random
import sys

SEEDS = {"train": 20_240_601, "calibration": 31_337, "test": 777_000_111}
COUNTRY_SEED = 4_096

NAMES_HER = ["Mara", "Ilse", "Nora", "Tamsin", "Odile", "Petra", "Yuki", "Salma", "Greta", "Wren",
             "Agnes", "Dagny", "Freya", "Lotte", "Zelda", "Bryn"]
NAMES_HIM = ["Tobin", "Anselm", "Ravi", "Kofi", "Jonas", "Emil", "Bastian", "Hugo", "Milo", "Oren",
             "Casper", "Dirk", "Felix", "Ivo", "Lars", "Pavel"]
TOWNS = ["Orrin", "Calder", "Westmere", "Tolby", "Brackwater", "Hale", "Norwick", "Sandry", "Elmford", "Dunlow",
         "Greyhaven", "Pinmoor", "Raskby", "Thornlea", "Vell", "Yarrow"]
ROOMS = ["kitchen", "cellar", "attic", "garden", "barn", "library", "workshop", "hallway", "pantry", "greenhouse"]
THINGS = ["lamp", "key", "map", "book", "rope", "coin", "kettle", "hammer", "violin", "letter", "basket", "mirror",
          "ladder", "compass", "blanket", "clock"]
ADJECTIVES = ["old", "small", "heavy", "blue", "broken", "golden", "quiet", "wooden", "strange", "clean", "red", "rusty"]
ANIMALS = ["ant", "badger", "cat", "dog", "eel", "fox", "goat", "hare", "ibis", "jay", "kite", "lynx", "mole", "newt",
           "otter", "pig", "quail", "raven", "seal", "toad"]
FOODS = ["apples", "pears", "onions", "carrots", "eggs", "loaves", "plums", "beans", "nuts", "lemons",
         "figs", "peas"]
TRADES = ["baker", "carpenter", "doctor", "farmer", "fisher", "miller", "painter", "sailor", "smith", "teacher",
          "weaver", "clerk"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
WEATHER = ["sunny", "cloudy", "rainy", "windy", "foggy", "snowy"]
# The weather of a day given the day before: a Markov chain.
WEATHER_NEXT = {
    "sunny": [60, 25, 4, 8, 2, 1],
    "cloudy": [20, 35, 30, 10, 4, 1],
    "rainy": [10, 35, 38, 8, 8, 1],
    "windy": [25, 30, 15, 24, 1, 5],
    "foggy": [30, 25, 10, 1, 32, 2],
    "snowy": [8, 25, 4, 16, 7, 40],
}
WEATHER_DOES = {
    "sunny": ["sat in the garden", "walked to the river", "dried the washing", "painted the fence"],
    "cloudy": ["went to the market", "mended the roof", "walked to the river", "cut some wood"],
    "rainy": ["stayed inside and read", "baked bread", "listened to the roof", "wrote letters"],
    "windy": ["flew a kite", "chased a hat down the lane", "shut all the windows", "cut some wood"],
    "foggy": ["lost the path twice", "stayed inside and read", "heard bells across the water", "lit every lamp"],
    "snowy": ["shovelled the path", "fed the birds", "lit a fire", "made soup"],
}
MOODS = {"sunny": "glad", "cloudy": "calm", "rainy": "sleepy", "windy": "restless", "foggy": "puzzled", "snowy": "cold"}
JOBS = ["bakes bread", "mends nets", "sells eggs", "sweeps the stairs", "feeds the hens", "rings the bell",
        "cuts wood", "reads aloud", "plays cards", "goes fishing", "paints doors", "writes letters", "sharpens knives",
        "visits the market", "waters the roses", "sleeps until noon"]
ROADS = ["the High Road", "the river path", "the old bridge", "the salt road", "the forest track", "the canal",
         "the hill pass", "the coast road", "the mill lane", "the king's way", "the marsh boards", "the ferry"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December"]
SEASONS = ["spring", "summer", "autumn", "winter"]
DEEDS = ["built the tower of", "burned the barns of", "was made mayor of", "walled the town of", "painted the hall of",
         "found silver near", "drained the marsh of", "opened the school of", "lost the battle of", "founded"]
TONGUES = ["Vellish", "High Raskan"]
SYLLABLES = ["ba", "do", "fe", "gu", "hi", "ka", "lo", "me", "nu", "pri", "ro", "sha", "te", "vi", "wo", "zu"]
NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
           "twelve"]


class Dice:
    """The random choices of one split."""

    def __init__(self, seed):
        self._random = random.Random(seed).random

    def chance(self, p):
        return self._random() < p

    def below(self, n):
        return int(self._random() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def one(self, items):
        return items[self.below(len(items))]

    def zipf(self, items):
        """Earlier items are likelier: weight 1 / (rank + 1)."""
        return self.weighted(items, [1.0 / (i + 2) for i in range(len(items))])

    def weighted(self, items, weights):
        x = self._random() * sum(weights)
        for item, weight in zip(items, weights):
            x -= weight
            if x < 0:
                return item
        return items[-1]

    def some(self, items, n):
        items = list(items)
        out = []
        for _ in range(n):
            out.append(items.pop(self.below(len(items))))
        return out


class Country:
    """The facts that hold in every document."""

    def __init__(self):
        d = Dice(COUNTRY_SEED)
        self.people = {}
        for names, they, them, their in ((NAMES_HER, "she", "her", "her"), (NAMES_HIM, "he", "him", "his")):
            for name in names:
                self.people[name] = {
                    "name": name, "they": they, "them": them, "their": their, "town": d.one(TOWNS),
                    "trade": d.one(TRADES), "age": d.between(18, 80), "pet": d.one(ANIMALS),
                    "since": 1900 + d.between(0, 99), "things": d.some(THINGS, 2), "likes": d.one(FOODS),
                    "week": [d.one(JOBS) for _ in DAYS]}
        names = list(self.people)
        self.price = {t: {f: d.between(1, 99) for f in FOODS} for t in TOWNS}
        self.road = {t: {u: (d.one(ROADS), d.between(1, 30)) for u in TOWNS if u != t} for t in TOWNS}
        self.coach = {t: {h: d.one([u for u in TOWNS if u != t]) for h in range(6, 21)} for t in TOWNS}
        self.thing = {t: {x: (d.one(names), d.one(ROOMS), d.between(1, 99)) for x in ADJECTIVES} for t in THINGS}
        self.look = {p: {t: d.one(ADJECTIVES) for t in self.people[p]["things"]} for p in names}
        self.feast = {m: {n: (d.one(names), d.one(FOODS)) for n in range(1, 29)} for m in MONTHS}
        self.year = {y: (d.one(names), d.one(DEEDS), d.one(TOWNS)) for y in range(1700, 1900)}
        self.word = {t: {w: "".join(d.one(SYLLABLES) for _ in range(d.between(2, 4)))
                         for w in THINGS + ANIMALS + TRADES + ROOMS + FOODS} for t in TONGUES}
        self.food = {x: {s: d.one(FOODS) for s in SEASONS} for x in ANIMALS}


COUNTRY = Country()


def a(noun_phrase):
    return ("an " if noun_phrase[0] in "aeiou" else "a ") + noun_phrase


def person(d):
    if d.chance(0.5):
        return d.one(NAMES_HER), "she", "her", "her"
    return d.one(NAMES_HIM), "he", "him", "his"


def two_people(d):
    first = person(d)
    second = person(d)
    while second[0] == first[0]:
        second = person(d)
    return first, second


def story(d):
    """Things move between rooms and hands; the questions at the end ask where they are."""
    (name, they, them, _), (other, they2, _, _) = two_people(d)
    town = COUNTRY.people[name]["town"]
    trade = COUNTRY.people[name]["trade"]
    things = COUNTRY.people[name]["things"]
    looks = COUNTRY.look[name]
    rooms = d.some(ROOMS, 4)
    place = {things[0]: rooms[0], things[1]: rooms[1]}
    out = []
    out.append(d.weighted([
        f"{name} was {a(trade)} in {town}.",
        f"Once there was {a(trade)} in {town} whose name was {name}.",
        f"In {town} lived {a(trade)} called {name}.",
    ], [4, 2, 3]))
    out.append(f"{they.capitalize()} had {a(looks[things[0]] + ' ' + things[0])} in the {rooms[0]} "
               f"and {a(looks[things[1]] + ' ' + things[1])} in the {rooms[1]}.")
    holder = None
    for _ in range(d.between(1, 4)):
        thing = d.one(things)
        kind = d.below(4)
        if kind == 0 and holder is None and place[thing] is not None:
            holder = thing
            out.append(f"One {d.one(['morning', 'evening', 'night'])} {other} came and took the {thing} "
                       f"from the {place[thing]}.")
            place[thing] = None
        elif kind == 1 and holder is not None:
            room = d.one(rooms)
            out.append(f"Then {other} brought the {holder} back and left it in the {room}.")
            place[holder] = room
            holder = None
        elif kind == 2 and place[thing] is not None:
            room = d.one([r for r in rooms if r != place[thing]])
            out.append(f"{name} carried the {looks[thing]} {thing} from the {place[thing]} to the {room}.")
            place[thing] = room
        else:
            animal = d.zipf(ANIMALS)
            out.append(d.one([
                f"{a(animal).capitalize()} slept by the door.",
                f"{they.capitalize()} saw {a(animal)} near the {d.one(rooms)} and smiled.",
                f"\"Have you seen my {d.one(things)}?\" {they} asked the {animal}, but the {animal} said nothing.",
            ]))
    for thing in (things if d.chance(0.6) else [d.one(things)]):
        if place[thing] is None:
            out.append(f"Who has the {thing}? {other} has the {looks[thing]} {thing}.")
        else:
            out.append(f"Where is the {thing}? The {looks[thing]} {thing} is in the {place[thing]}.")
    if d.chance(0.4):
        out.append(f"Who is the {trade}? {name} is the {trade} and {they} lives in {town}.")
    if d.chance(0.3) and holder:
        out.append(f"{name} asked {other} for the {holder}, and {they2} gave it to {them}.")
    return " ".join(out)


def arithmetic(d):
    kind = d.below(6)
    lines = []
    n = d.between(4, 8)
    if kind == 0:
        for _ in range(n):
            x, y = d.between(1, 99), d.between(1, 99)
            lines.append(f"{x} + {y} = {x + y}")
    elif kind == 1:
        for _ in range(n):
            x = d.between(10, 99)
            y = d.between(1, x)
            lines.append(f"{x} - {y} = {x - y}")
    elif kind == 2:
        for _ in range(n):
            x, y = d.between(2, 12), d.between(2, 12)
            lines.append(f"{x} * {y} = {x * y}")
    elif kind == 3:
        start, step = d.between(0, 40), d.between(1, 9)
        lines.append(f"Count from {start} in steps of {step}:")
        lines.append(", ".join(str(start + i * step) for i in range(2 * n)))
    elif kind == 4:
        for _ in range(n):
            x, y = d.between(1, 200), d.between(1, 200)
            lines.append(f"{x} is {'more than' if x > y else 'less than' if x < y else 'the same as'} {y}.")
    else:
        x = d.between(2, 30)
        lines.append(f"Start with {x}.")
        for _ in range(n):
            if x % 2 == 0 and d.chance(0.5):
                lines.append(f"Halve {x} to get {x // 2}.")
                x //= 2
            elif x > 12 and d.chance(0.4):
                y = d.between(1, 9)
                lines.append(f"Take {y} from {x} to get {x - y}.")
                x -= y
            else:
                y = d.between(1, 9)
                lines.append(f"Add {y} to {x} to get {x + y}.")
                x += y
    return "\n".join(lines)


def program(d):
    """A short function and what its calls print."""
    lines = []
    kind = d.below(5)
    var = d.zipf(["x", "n", "value", "count", "total"])
    if kind == 0:
        k = d.between(1, 9)
        word, op = d.one([("add", "+"), ("times", "*"), ("minus", "-")])
        name = f"{word}_{NUMBERS[k]}"
        lines += [f"def {name}({var}):", f"    return {var} {op} {k}"]
        for _ in range(d.between(2, 4)):
            x = d.between(9, 20) if op == "-" else d.between(1, 12)
            y = x + k if op == "+" else x * k if op == "*" else x - k
            lines.append(f"print({name}({x}))  # {y}")
    elif kind == 1:
        items = [d.between(1, 9) for _ in range(d.between(3, 6))]
        other = d.one(["total", "result", "answer"])
        fn = d.one(["sum", "max", "min", "len"])
        result = {"sum": sum, "max": max, "min": min, "len": len}[fn](items)
        lines += [f"items = {items}", f"{other} = {fn}(items)", f"print({other})  # {result}"]
        lines.append(f"print(sorted(items))  # {sorted(items)}")
    elif kind == 2:
        limit = d.between(2, 6)
        lines += [f"for {var} in range({limit}):"]
        k = d.between(1, 5)
        lines += [f"    if {var} > {k}:", f"        print({var} + {k})", "    else:", f"        print({var})"]
        shown = [v + k if v > k else v for v in range(limit)]
        lines.append("# " + " ".join(str(v) for v in shown))
    elif kind == 3:
        word = d.zipf(ANIMALS + THINGS)
        lines += [f"word = \"{word}\"", f"print(len(word))  # {len(word)}"]
        if d.chance(0.6):
            lines.append(f"print(word.upper())  # {word.upper()}")
        if d.chance(0.5):
            lines.append(f"print(word[0])  # {word[0]}")
        if d.chance(0.5):
            lines.append(f"print(word + \"s\")  # {word}s")
    else:
        names = d.some(["a", "b", "c", "k", "m"], 3)
        values = [d.between(1, 9) for _ in names]
        lines += [f"{n} = {v}" for n, v in zip(names, values)]
        env = dict(zip(names, values))
        for _ in range(d.between(1, 3)):
            t, u, v = d.one(names), d.one(names), d.one(names)
            env[t] = env[u] + env[v]
            lines.append(f"{t} = {u} + {v}")
        lines += [f"print({n})  # {env[n]}" for n in names]
    return "\n".join(lines)


def ledger(d):
    (name, they, _, _), (other, _, _, _) = two_people(d)
    foods = d.some(FOODS, d.between(2, 3))
    stock = {f: d.between(3, 20) for f in foods}
    town = COUNTRY.people[name]["town"]
    lines = [f"{name} sells food at the market in {town}.",
             f"At dawn {they} has " + ", ".join(f"{stock[f]} {f}" for f in foods[:-1])
             + f" and {stock[foods[-1]]} {foods[-1]}."]
    for _ in range(d.between(2, 5)):
        food = d.one(foods)
        if stock[food] > 1 and d.chance(0.7):
            n = d.between(1, min(9, stock[food]))
            buyer = other if d.chance(0.5) else a(d.zipf(TRADES)).capitalize()
            lines.append(f"{buyer} buys {n} {food}.")
            stock[food] -= n
        else:
            n = d.between(1, 9)
            lines.append(f"{name} brings {n} more {food}.")
            stock[food] += n
        lines[-1] += f" Now there are {stock[food] if stock[food] else 'no'} {food}."
    lines.append("At dusk: " + ", ".join(f"{f} {stock[f]}" for f in foods) + f"; in all {sum(stock.values())}.")
    return "\n".join(lines)


def diary(d):
    name = person(d)[0]
    day = d.below(7)
    weather = d.zipf(WEATHER)
    town = COUNTRY.people[name]["town"]
    lines = [f"From the diary of {name}, {town}."]
    for _ in range(d.between(3, 6)):
        did = d.zipf(WEATHER_DOES[weather])
        line = f"{DAYS[day]}: {weather}. I {did}"
        if d.chance(0.35):
            line += f" with {person(d)[0]}"
        line += d.weighted([".", f" and felt {MOODS[weather]}.", f". The {d.zipf(ANIMALS)} came again."], [5, 4, 2])
        lines.append(line)
        weather = d.weighted(WEATHER, WEATHER_NEXT[weather])
        day = (day + 1) % 7
    return "\n".join(lines)


def words(d):
    kind = d.below(4)
    n = d.between(3, 7)
    items = d.some(ANIMALS, n)
    shown = ", ".join(items)
    if kind == 0:
        return f"Words: {shown}\nSorted: {', '.join(sorted(items))}\nHow many: {NUMBERS[n]}"
    if kind == 1:
        return f"Words: {shown}\nReversed: {', '.join(reversed(items))}\nFirst: {items[0]}\nLast: {items[-1]}"
    if kind == 2:
        missing = d.below(n)
        rest = [w for i, w in enumerate(items) if i != missing]
        return f"Words: {shown}\nWithout {items[missing]}: {', '.join(rest)}\nHow many: {NUMBERS[n - 1]}"
    more, most, least = d.one([("older", "oldest", "youngest"), ("bigger", "biggest", "smallest")])
    lines = [f"The {x} is {more} than the {y}." for x, y in zip(items, items[1:])]
    return " ".join(lines) + f" So the {items[0]} is the {most} of all and the {items[-1]} is the {least}."


def record(d):
    who = COUNTRY.people[person(d)[0]]
    name, they, their = who["name"], who["they"], who["their"]
    out = ""
    if d.chance(0.5):
        out += (f"{{\"name\": \"{name}\", \"age\": {who['age']}, \"town\": \"{who['town']}\", "
                f"\"trade\": \"{who['trade']}\", \"pet\": \"{who['pet']}\", \"since\": {who['since']}}}\n")
    out += (f"{name} is {who['age']} years old and works as {a(who['trade'])} in {who['town']} "
            f"since {who['since']}.")
    if d.chance(0.6):
        out += f" {their.capitalize()} pet is {a(who['pet'])}."
    if d.chance(0.6):
        out += f" {they.capitalize()} likes {who['likes']} and has {a(who['things'][0])} and {a(who['things'][1])}."
    for day in range(7):
        if d.chance(0.6):
            out += f" On {DAYS[day]} {they} {who['week'][day]}."
    if d.chance(0.4):
        out += f" Next year {they} will be {who['age'] + 1}."
    return out


def in_order(d, items, p):
    """About the part `p` of the items, order kept, never none."""
    out = [x for x in items if d.chance(p)]
    return out or [d.one(items)]


def prices(d):
    if d.chance(0.5):
        town = d.one(TOWNS)
        return f"Prices in {town}: " + ", ".join(
            f"{f} {COUNTRY.price[town][f]}" for f in in_order(d, FOODS, 0.7)) + "."
    food = d.one(FOODS)
    return f"The price of {food}: " + ", ".join(
        f"{COUNTRY.price[t][food]} in {t}" for t in in_order(d, TOWNS, 0.6)) + "."


def roads(d):
    town = d.one(TOWNS)
    lines = [f"Ways out of {town}."]
    for other in in_order(d, [t for t in TOWNS if t != town], 0.45):
        road, hours = COUNTRY.road[town][other]
        lines.append(f"To {other}: by {road}, {hours} {'hour' if hours == 1 else 'hours'}.")
    return "\n".join(lines)


def coaches(d):
    town = d.one(TOWNS)
    return f"Coaches from {town}\n" + "\n".join(
        f"{h}:00 {COUNTRY.coach[town][h]}" for h in in_order(d, range(6, 21), 0.7))


def belongings(d):
    thing = d.one(THINGS)
    lines = []
    for look in in_order(d, ADJECTIVES, 0.4):
        owner, room, worth = COUNTRY.thing[thing][look]
        lines.append(f"The {look} {thing} belongs to {owner}, is kept in the {room} and is worth {worth}.")
    return " ".join(lines)


def feasts(d):
    month = d.one(MONTHS)
    first = d.between(1, 22)
    lines = []
    for day in range(first, min(29, first + d.between(4, 9))):
        who, food = COUNTRY.feast[month][day]
        lines.append(f"{day} {month}: the feast of {who}, when people eat {food}.")
    return "\n".join(lines)


def annals(d):
    first = d.between(1700, 1893)
    lines = []
    for year in range(first, min(1900, first + d.between(4, 8))):
        who, deed, town = COUNTRY.year[year]
        lines.append(f"{year}. {who} {deed} {town}.")
    return "\n".join(lines)


def dictionary(d):
    words_of = d.one([THINGS, ANIMALS, TRADES, ROOMS, FOODS])
    if d.chance(0.6):
        tongue = d.one(TONGUES)
        return f"In {tongue}: " + ", ".join(
            f"{w} is {COUNTRY.word[tongue][w]}" for w in in_order(d, words_of, 0.5)) + "."
    return "\n".join(f"{w}: {COUNTRY.word[TONGUES[0]][w]} ({TONGUES[0]}), {COUNTRY.word[TONGUES[1]][w]} ({TONGUES[1]})"
                     for w in in_order(d, words_of, 0.4))


def feeding(d):
    lines = []
    for animal in d.some(ANIMALS, d.between(2, 5)):
        food = COUNTRY.food[animal]
        lines.append(f"The {animal} eats {food['spring']} in spring, {food['summer']} in summer, "
                     f"{food['autumn']} in autumn and {food['winter']} in winter.")
    return " ".join(lines)


KINDS = [(story, 14), (arithmetic, 8), (program, 6), (ledger, 5), (diary, 6), (words, 5), (record, 14), (prices, 12),
         (roads, 12), (coaches, 9), (belongings, 14), (feasts, 12), (annals, 10), (dictionary, 12), (feeding, 8)]


def documents(split, count, exclude=()):
    """The first `count` different documents of a split, none of them in `exclude`."""
    d = Dice(SEEDS[split])
    makers, weights = zip(*KINDS)
    seen = set(exclude)
    out = []
    while len(out) < count:
        text = d.weighted(makers, weights)(d)
        if text not in seen:
            seen.add(text)
            out.append(text)
    return out


def join(docs):
    """One text file: documents with one blank line between them."""
    return "\n\n".join(docs) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--split", choices=sorted(SEEDS), default="train")
    p.add_argument("--documents", type=int, default=100)
    args = p.parse_args()
    sys.stdout.write(join(documents(args.split, args.documents)))


if __name__ == "__main__":
    main()
