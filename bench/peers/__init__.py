"""This proxy beside those that would be run in its place: `python -m bench peers`.

    command      the options, and the order of things: build, start, rounds, report
    works        what is measured: rows of sessions, and who takes part in each
    contestants  who is measured; each has a script in start/ and is a process of its own
    processor    CPU seconds of a process and all its children
    programs     the load generator, the sink and the relay in C, compiled when they are needed
    rounds       one session after the other, one contestant after the other, one row after the other
    holding      clean sessions while thousands are held; punctual bytes beside a C program's
    goals        the ratios that are promised, and whether they are kept
    report       table and JSON

How to read it, and what it cannot say: docs/bench.md.
"""
